// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Exactly makes a command require one argument for each name.
func Exactly(names ...string) cobra.PositionalArgs { return between(names, len(names), len(names)) }

// AtMost makes a command accept one argument or none.
func AtMost(name string) cobra.PositionalArgs { return between([]string{name}, 0, 1) }

// AtLeast makes a command require one argument or more.
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

// VerbName returns a command's path without the program's name. Every error begins with it.
func VerbName(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
}
