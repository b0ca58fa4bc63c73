// SPDX-License-Identifier: Apache-2.0

// Package cli has the common parts of the verbs of digestctl: global flags, the connection to
// digestd, errors, exit codes and shell completion. The packages above it implement the verbs.
package cli

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/spf13/cobra"
)

// App is one run of digestctl: the values of its flags, and its output.
type App struct {
	UI       *terminal.UI
	Bus      string
	JSON     bool
	Quiet    bool
	NoColor  bool
	Progress string // how progress is shown; "" is as the environment says
	Started  bool   // a verb has begun, so errors are not about usage
	Code     int    // exit code of a verb that succeeded with bad news

	documents [][]reflect.Type // by the annotation DocumentMark
}

// Verb returns the function for cobra that connects to digestd and calls fn.
func (a *App) Verb(fn func(ctx context.Context, c *client.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.Started = true
		c, err := client.Dial(cmd.Context(), a.Bus)
		if err != nil {
			return err
		}
		defer c.Close()
		return fn(cmd.Context(), c, args)
	}
}

// GroupMark is the annotation of commands that only contain other commands.
const GroupMark = "group"

// Group returns a command that only contains others. Run alone, it is an error.
func Group(use, short, long string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short, Long: long, Args: cobra.ArbitraryArgs, Annotations: map[string]string{GroupMark: ""}}
	g.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("%s needs one of: %s", VerbName(cmd), subcommands(cmd))
		}
		return fmt.Errorf("%s has no %q; it has: %s", VerbName(cmd), args[0], subcommands(cmd))
	}
	g.AddCommand(commands...)
	return g
}

func subcommands(cmd *cobra.Command) string {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return strings.Join(names, ", ")
}
