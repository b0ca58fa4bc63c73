// SPDX-License-Identifier: Apache-2.0

package own

import (
	"context"
	"errors"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/userfile"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

func importCommand(a *cli.App) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Annotations: a.Prints(document{}),
		Use:         "import NAME FILE",
		Short:       "Import a list that was made and signed elsewhere",
		Long: `Import publishes a list that was made and signed elsewhere, in the tlv format with a
PKCS#7 signature, or in the rpm format with the signature of a package, as
digest-cache-tools write it. A trusted key must have signed it: an X.509 certificate
(*.crt, *.pem, *.der) in /etc/digestd/keys.d, or for a package a key in rpm's keyring
or there. digestd signs the list again with this machine's key, and keeps it active as
long as the other key is trusted. It refuses a file that is an older version.`,
		Example: "  digestctl own import appliance ./tlv-appliance --reason 'release 7'",
		Args:    cli.Exactly("NAME", "FILE"),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, args []string) error {
			f, err := userfile.Open(args[1])
			if err != nil {
				return err
			}
			defer f.Close()
			old, err := c.Own(ctx, args[0])
			var missing *api.Error
			if err != nil && !(errors.As(err, &missing) && missing.Code == api.NotFound) {
				return err
			}
			var base uint64
			if old.State != "" && old.State != api.StateRemoved {
				if old.Key == "" {
					return &api.Error{Code: api.InvalidArgument, Message: args[0] + " was made from files on this machine", Advice: "import it under another name"}
				}
				base = old.Version
			}
			upload, err := c.Upload(ctx, f)
			if err != nil {
				return err
			}
			req := api.OwnRequest{Name: args[0], Upload: upload, Base: base, Import: true, Reason: reason}
			result, err := job(a, func(report client.Progress) (api.OwnResult, error) { return c.OwnPublish(ctx, req, report) })
			if err != nil {
				return err
			}
			if a.JSON {
				return a.UI.JSON(document{OwnResult: result})
			}
			printOwned(a.UI, document{OwnResult: result})
			return nil
		}),
	}
	cli.OptionalReason(cmd, &reason)
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) == 1 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}
