// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/spf13/cobra"
)

// Fix is digestctl fix.
func Fix(a *cli.App) *cobra.Command {
	var s scope
	var unlabelled bool
	cmd := &cobra.Command{
		Annotations: a.Prints(verifyDocument{}, failedDocument{}),
		Use:         "fix PATH...|--package PACKAGE|--all",
		Short:       "Bind files to the right lists, and publish missing lists",
		Long: `Fix brings the lists in step with rpm's database like sync, verifies like verify, and
binds files with the right content to the list that vouches for them. It never changes
the content of a file: it names the packages whose files changed or are missing, so
that you can reinstall them.

It exits like verify; a difference that it fixed does not count as an error.`,
		Example: "  digestctl fix --all\n  digestctl fix --package bash\n  digestctl fix --all --unlabelled",
		Args:    func(cmd *cobra.Command, args []string) error { return s.check(cmd, args) },
		RunE: a.Verb(func(ctx context.Context, c *client.Client, args []string) error {
			req, err := s.request(args)
			if err != nil {
				return err
			}
			req.Unlabelled = unlabelled
			return runVerification(a, ctx, c, c.Fix, req)
		}),
	}
	scopeFlags(a, cmd, &s)
	cmd.Flags().BoolVar(&unlabelled, "unlabelled", false, "also bind files that are not bound to any list")
	return cmd
}
