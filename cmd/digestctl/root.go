// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"
)

// run carries out one command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	a := &app{tui: newTUI(stdout, stderr)}
	root := a.root()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return a.code
	}
	if !a.started {
		// What is wrong with a command line may have hidden the flag from cobra.
		a.json = a.json || slices.Contains(args, "--json")
		err = usage(err, cmd.CommandPath())
	}
	trouble := explain(err)
	if a.json {
		a.tui.json(trouble)
	} else {
		a.tui.trouble(trouble.Error.Message, trouble.Error.Advice)
	}
	return trouble.exit
}

func (a *app) root() *cobra.Command {
	cobra.EnableCommandSorting = false // what is asked most often comes first
	root := &cobra.Command{
		Use:   "digestctl",
		Short: "Ask digestd what is vouched for, and tell it what you decided",
		Long: `Digestctl asks digestd which digest lists are active, whether a file is vouched
for and why, and records what an administrator decides about versions.

A PACKAGE is a name, name.arch, or name-[epoch:]version-release.arch as rpm -q
prints it.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRun: func(*cobra.Command, []string) {
			a.tui.setUp(a.quiet, a.noColor || os.Getenv("NO_COLOR") != "")
		},
	}
	flags := root.PersistentFlags()
	flags.BoolVar(&a.json, "json", false, "print one JSON document")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "print errors only")
	flags.BoolVar(&a.noColor, "no-color", false, "use no colors, like NO_COLOR=1")
	flags.StringVar(&a.bus, "bus", "system", "use the D-Bus at `ADDRESS`")
	root.RegisterFlagCompletionFunc("bus", cobra.FixedCompletions([]cobra.Completion{"system"}, cobra.ShellCompDirectiveDefault))
	root.AddCommand(
		a.statusCommand(), a.listCommand(), a.showCommand(), a.whyCommand(), a.syncCommand(), a.watchCommand(),
		a.verifyCommand(), a.fixCommand(),
		a.logCommand(), a.rollbackCommand(), a.floorCommand(), a.denyCommand(), a.advisoriesCommand(), a.ownCommand(), a.orderCommand(), a.formatCommand(), a.keysCommand(), a.doctorCommand(), a.reportCommand(), a.imaPolicyCommand(), a.versionCommand(), a.manCommand(),
	)
	completeNothing(root)
	return root
}

// completeNothing keeps shells from offering files where none is meant.
func completeNothing(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		if c.ValidArgsFunction == nil && !slices.Contains([]string{"why", "verify", "fix", "man"}, c.Name()) {
			c.ValidArgsFunction = cobra.NoFileCompletions
		}
		completeNothing(c)
	}
}
