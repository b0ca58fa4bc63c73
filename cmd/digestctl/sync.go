// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

func (a *app) syncCommand() *cobra.Command {
	return &cobra.Command{
		Annotations: prints(api.SyncResult{}),
		Use:         "sync",
		Short:       "Bring the lists in step with rpm's database now",
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
