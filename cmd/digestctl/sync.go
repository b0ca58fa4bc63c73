// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

func (a *app) syncCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "sync",
		Short: "Bring the lists in step with rpm's database now",
		Long: `Sync makes digestd compare the lists with rpm's database at once, and publish and
withdraw what differs. It waits for the end, and shows progress; interrupting it
cancels the comparison. It exits with 3 when some packages could not be read.`,
		Args: exactly(),
		RunE: a.verb(func(ctx context.Context, c *client.Client, _ []string) error {
			p := &progress{tui: a.tui, off: a.json || a.quiet}
			r, err := c.Sync(ctx, p.show)
			p.end()
			if err != nil {
				return err
			}
			if r.Failed > 0 {
				a.code = exitBad
			}
			if a.json {
				return a.tui.json(r)
			}
			a.tui.synced(r)
			return nil
		}),
	}
}

func (t *tui) synced(r api.SyncResult) {
	t.say(good, "in step with %s: %d published, %d withdrawn, %d kept, %s",
		count(r.Installed, "package", "packages"), r.Published, r.Withdrawn, r.Kept, seconds(r.Duration))
	if r.Withheld > 0 {
		t.say(warn, "%d withheld; see: digestctl list withheld", r.Withheld)
	}
	if r.Quarantined > 0 {
		t.say(bad, "%d quarantined; see: digestctl list quarantined", r.Quarantined)
	}
	if r.Failed > 0 {
		t.say(bad, "%s without a list; see: journalctl -u digestd", count(r.Failed, "package could not be read and is", "packages could not be read and are"))
	}
}

// progress shows how far a job is: a bar that is redrawn on a terminal, a line
// a stage elsewhere.
type progress struct {
	tui   *tui
	off   bool
	stage string
	drawn bool
}

const barWidth = 30

func (p *progress) show(stage string, done, total uint64) {
	switch {
	case p.off:
	case p.tui.live:
		p.drawn = true
		fmt.Fprintf(p.tui.err, "\r\x1b[K%s", progressLine(safe(stage), done, total))
	case stage != p.stage:
		fmt.Fprintln(p.tui.err, safe(stage))
	}
	p.stage = stage
}

// end leaves the terminal as it was.
func (p *progress) end() {
	if p.drawn {
		fmt.Fprint(p.tui.err, "\r\x1b[K")
		p.drawn = false
	}
}

func progressLine(stage string, done, total uint64) string {
	switch {
	case total == 0 && done == 0:
		return stage
	case total == 0:
		return fmt.Sprintf("%s %d", stage, done)
	}
	filled := int(min(done, total) * barWidth / total)
	bar := make([]byte, barWidth)
	for i := range bar {
		bar[i] = '.'
		if i < filled {
			bar[i] = '#'
		}
	}
	return fmt.Sprintf("%-12s [%s] %d/%d", stage, bar, done, total)
}
