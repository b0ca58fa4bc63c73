// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

// Sync is digestctl sync.
func Sync(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Annotations: a.Prints(api.SyncResult{}),
		Use:         "sync",
		Short:       "Compare the lists with rpm's database now",
		Long: `Sync makes digestd compare the lists with rpm's database now, and publish and withdraw
lists accordingly. It waits until the comparison is finished, and shows progress;
interrupting it cancels the comparison. It exits with 3 if some packages could not be
read.`,
		Args: cli.Exactly(),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, _ []string) error {
			p := &terminal.Progress{UI: a.UI, Off: a.JSON || a.Quiet}
			r, err := c.Sync(ctx, p.Show)
			p.End()
			if err != nil {
				return err
			}
			if r.Failed > 0 {
				a.Code = cli.ExitBad
			}
			if a.JSON {
				return a.UI.JSON(r)
			}
			printSynced(a.UI, r)
			return nil
		}),
	}
}

func printSynced(t *terminal.UI, r api.SyncResult) {
	t.Say(terminal.Good, "in step with %s: %d published, %d withdrawn, %d kept, %s",
		terminal.Count(r.Installed, "package", "packages"), r.Published, r.Withdrawn, r.Kept, terminal.Seconds(r.Duration))
	if r.Withheld > 0 {
		t.Say(terminal.Warn, "%d withheld; see: digestctl list withheld", r.Withheld)
	}
	if r.Quarantined > 0 {
		t.Say(terminal.Bad, "%d quarantined; see: digestctl list quarantined", r.Quarantined)
	}
	if r.Failed > 0 {
		t.Say(terminal.Bad, "%s without a list; see: journalctl -u digestd", terminal.Count(r.Failed, "package could not be read and is", "packages could not be read and are"))
	}
}
