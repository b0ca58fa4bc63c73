// SPDX-License-Identifier: Apache-2.0

package query

import (
	"context"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

func logVerifyCommand(a *cli.App) *cobra.Command {
	var head string
	cmd := &cobra.Command{
		Annotations: a.Prints(api.LogCheck{}),
		Use:         "verify",
		Short:       "Check that no entry of the log was cut, changed or moved",
		Long: `Verify checks the hash chains over the log: every entry has a hash that covers the entry and the hash of the entry
before it. Tampering has a chain of its own. digestd removes the oldest entries when the log is full, and records the
number and the hash of the last entry that it removed.

Somebody who can write to the index can compute all hashes again. Keep a head elsewhere, for example from digestctl
anchor quote, and verify with --head that the log continues it. The exit code is 3 if verify finds a fault.`,
		Example: "  digestctl log verify\n  digestctl log verify --head 4711:0f3c...",
		Args:    cli.Exactly(),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, _ []string) error {
			check, err := c.LogVerify(ctx, head)
			if err != nil {
				return err
			}
			if len(check.Faults) > 0 {
				a.Code = cli.ExitBad
			}
			if a.JSON {
				return a.UI.JSON(check)
			}
			printLogCheck(a.UI, check)
			return nil
		}),
	}
	cmd.Flags().StringVar(&head, "head", "", "check that the log continues a head that was kept, as `NUMBER:HASH`")
	cmd.RegisterFlagCompletionFunc("head", cobra.NoFileCompletions)
	return cmd
}

func printLogCheck(t *terminal.UI, c api.LogCheck) {
	for _, f := range c.Faults {
		t.Say(terminal.Bad, "%s", f)
	}
	if c.More > 0 {
		t.Say(terminal.Bad, "and %s more", terminal.Count(c.More, "fault", "faults"))
	}
	if len(c.Faults) == 0 {
		t.Say(terminal.Good, "%s, and none was cut, changed or moved", terminal.Count(c.Entries, "entry", "entries"))
	}
	if c.Unchained > 0 {
		t.Say(terminal.Plain, "%s from before the hash chain", terminal.Count(c.Unchained, "entry is", "entries are"))
	}
	for _, h := range c.Heads {
		t.Fact(h.Room, "head %d:%s", h.Seq, h.Hash)
		if h.Dropped > 0 {
			t.Fact("", "entries up to %d are not kept", h.Dropped)
		}
	}
}
