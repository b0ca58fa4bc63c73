// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manCommand writes the manual pages; the Makefile runs it. The date is that of
// SOURCE_DATE_EPOCH, so that a build can be repeated byte for byte.
func (a *app) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIRECTORY",
		Short:  "Write the manual pages",
		Hidden: true,
		Args:   exactly("DIRECTORY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.started = true
			root := cmd.Root()
			root.DisableAutoGenTag = true
			header := &doc.GenManHeader{Section: "1", Source: "digestd " + api.Version, Manual: "digestd"}
			if err := doc.GenManTree(root, header, args[0]); err != nil {
				return errorf("cannot write manual pages to %s: %w", args[0], err)
			}
			return nil
		},
	}
}
