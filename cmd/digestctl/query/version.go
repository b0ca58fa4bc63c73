// SPDX-License-Identifier: Apache-2.0

package query

import (
	"context"
	"errors"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

// versionDocument is what version prints for programs.
type versionDocument struct {
	Digestctl string `json:"digestctl"`
	Digestd   string `json:"digestd,omitzero"` // absent if digestd cannot be reached
}

// Version is digestctl version.
func Version(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Annotations: a.Prints(versionDocument{}),
		Use:         "version",
		Short:       "Show the versions of digestctl and digestd",
		Long:        "Version prints the versions of digestctl and of digestd, if it is running.",
		Args:        cli.Exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.Started = true
			doc := versionDocument{Digestctl: api.Version}
			var err error
			doc.Digestd, err = daemonVersion(cmd.Context(), a.Bus)
			if err != nil && !errors.As(err, new(*client.Unreachable)) {
				return err
			}
			if a.JSON {
				return a.UI.JSON(doc)
			}
			a.UI.Say(terminal.Plain, "digestctl %s", doc.Digestctl)
			if doc.Digestd == "" {
				a.UI.Say(terminal.Plain, "digestd is not running")
				return nil
			}
			a.UI.Say(terminal.Plain, "digestd %s", doc.Digestd)
			return nil
		},
	}
}

func daemonVersion(ctx context.Context, address string) (string, error) {
	c, err := client.Dial(ctx, address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	st, err := c.Status(ctx)
	return st.Version, err
}
