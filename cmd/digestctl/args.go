// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// exactly makes a command take one argument under each name.
func exactly(names ...string) cobra.PositionalArgs { return between(names, len(names), len(names)) }

// atMost makes a command take an argument, or none.
func atMost(name string) cobra.PositionalArgs { return between([]string{name}, 0, 1) }

// atLeast makes a command take one argument or more of a kind.
func atLeast(name string) cobra.PositionalArgs { return between([]string{name}, 1, -1) }

func between(names []string, least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return fmt.Errorf("%s needs %s", verbName(cmd), strings.Join(names[len(args):], " and "))
		case most >= 0 && len(args) > most:
			return fmt.Errorf("%s does not take %q", verbName(cmd), args[most])
		}
		return nil
	}
}

// verbName is a command's name without the program's, which begins every error.
func verbName(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
}
