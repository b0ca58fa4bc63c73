// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Exactly makes a command take one argument under each name.
func Exactly(names ...string) cobra.PositionalArgs { return between(names, len(names), len(names)) }

// AtMost makes a command take an argument, or none.
func AtMost(name string) cobra.PositionalArgs { return between([]string{name}, 0, 1) }

// AtLeast makes a command take one argument or more of a kind.
func AtLeast(name string) cobra.PositionalArgs { return between([]string{name}, 1, -1) }

func between(names []string, least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return fmt.Errorf("%s needs %s", VerbName(cmd), strings.Join(names[len(args):], " and "))
		case most >= 0 && len(args) > most:
			return fmt.Errorf("%s does not take %q", VerbName(cmd), args[most])
		}
		return nil
	}
}

// VerbName is a command's name without the program's, which begins every error.
func VerbName(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
}
