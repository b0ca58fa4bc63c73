// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/spf13/cobra"
)

// app is one run of the command: what its flags say and where its words go.
type app struct {
	tui     *tui
	bus     string
	json    bool
	quiet   bool
	noColor bool
	started bool // a verb began, so what goes wrong is no matter of usage
	code    int  // the exit code of a verb that ran but has bad news
}

// verb makes the function that cobra runs of one that talks to the daemon.
func (a *app) verb(fn func(ctx context.Context, c *client.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.started = true
		c, err := client.Dial(cmd.Context(), a.bus)
		if err != nil {
			return err
		}
		defer c.Close()
		return fn(cmd.Context(), c, args)
	}
}

// groupMark is the annotation of commands that only hold others.
const groupMark = "group"

// group makes a command that only holds others refuse to run alone.
func group(use, short, long string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short, Long: long, Args: cobra.ArbitraryArgs, Annotations: map[string]string{groupMark: ""}}
	g.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("%s needs one of: %s", verbName(cmd), subcommands(cmd))
		}
		return fmt.Errorf("%s has no %q; it has: %s", verbName(cmd), args[0], subcommands(cmd))
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
