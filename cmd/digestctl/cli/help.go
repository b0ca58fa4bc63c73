// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/digestd/digestd/cmd/digestctl/terminal"
)

// helpColumns is the width of help, unless the terminal is narrower.
const helpColumns = 80

// wrapHelp makes root and all verbs below it wrap the paragraphs of their help between words.
// Lines that begin with a space, such as tables, stay as they are.
func wrapHelp(root *cobra.Command) {
	// pflag wraps the descriptions of flags by itself.
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages ", ".FlagUsagesWrapped 80 "))
	help := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		width := helpColumns
		if columns := terminal.Columns(cmd.OutOrStdout()); columns > 0 {
			width = min(width, columns)
		}
		parts := strings.Split(strings.Trim(cmd.Long, "\n"), "\n\n")
		for i, part := range parts {
			if !strings.HasPrefix(part, " ") {
				parts[i] = strings.Join(terminal.Wrap(strings.Join(strings.Fields(part), " "), width), "\n")
			}
		}
		cmd.Long = strings.Join(parts, "\n\n")
		help(cmd, args)
	})
}
