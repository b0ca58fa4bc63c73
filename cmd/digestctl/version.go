// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"

	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

// versionDocument is what version prints for programs.
type versionDocument struct {
	Digestctl string `json:"digestctl"`
	Digestd   string `json:"digestd,omitzero"` // absent when it is not reachable
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Annotations: prints(versionDocument{}),
		Use:         "version",
		Short:       "Print the versions of digestctl and digestd",
		Long:        "Version prints the versions of digestctl and of the digestd that runs, if one does.",
		Args:        exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.started = true
			doc := versionDocument{Digestctl: api.Version}
			var err error
			doc.Digestd, err = daemonVersion(cmd.Context(), a.bus)
			if err != nil && !errors.As(err, new(*client.Unreachable)) {
				return err
			}
			if a.json {
				return a.tui.json(doc)
			}
			a.tui.say(plain, "digestctl %s", doc.Digestctl)
			if doc.Digestd == "" {
				a.tui.say(plain, "digestd is not running")
				return nil
			}
			a.tui.say(plain, "digestd %s", doc.Digestd)
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
