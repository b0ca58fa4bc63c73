// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"os"
	"slices"

	"github.com/digestd/digestd/cmd/digestctl/advisories"
	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/decide"
	"github.com/digestd/digestd/cmd/digestctl/format"
	"github.com/digestd/digestd/cmd/digestctl/keys"
	"github.com/digestd/digestd/cmd/digestctl/machine"
	"github.com/digestd/digestd/cmd/digestctl/man"
	"github.com/digestd/digestd/cmd/digestctl/order"
	"github.com/digestd/digestd/cmd/digestctl/own"
	"github.com/digestd/digestd/cmd/digestctl/query"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/cmd/digestctl/verify"
	"github.com/spf13/cobra"
)

// run carries out one command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	a := &cli.App{UI: terminal.New(stdout, stderr)}
	root := rootCommand(a)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return a.Code
	}
	if !a.Started {
		// What is wrong with a command line may have hidden the flag from cobra.
		a.JSON = a.JSON || slices.Contains(args, "--json")
		err = cli.Usage(err, cmd.CommandPath())
	}
	trouble := cli.Explain(err)
	if a.JSON {
		a.UI.JSON(trouble)
	} else {
		a.UI.Trouble(trouble.Error.Message, trouble.Error.Advice)
	}
	return trouble.Exit
}

// rootCommand assembles the command of its verbs, in the order in which help and
// manual have them.
func rootCommand(a *cli.App) *cobra.Command {
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
			a.UI.SetUp(a.Quiet, a.NoColor || os.Getenv("NO_COLOR") != "")
		},
	}
	flags := root.PersistentFlags()
	flags.BoolVar(&a.JSON, "json", false, "print one JSON document")
	flags.BoolVarP(&a.Quiet, "quiet", "q", false, "print errors only")
	flags.BoolVar(&a.NoColor, "no-color", false, "use no colors, like NO_COLOR=1")
	flags.StringVar(&a.Bus, "bus", "system", "use the D-Bus at `ADDRESS`")
	root.RegisterFlagCompletionFunc("bus", cobra.FixedCompletions([]cobra.Completion{"system"}, cobra.ShellCompDirectiveDefault))
	root.AddCommand(
		query.Status(a), query.List(a), query.Show(a), query.Why(a), verify.Sync(a), query.Watch(a),
		verify.Verify(a), verify.Fix(a),
		query.Log(a), decide.Rollback(a), decide.Floor(a), decide.Deny(a), advisories.Command(a),
		own.Command(a), order.Command(a), format.Command(a), keys.Command(a),
		machine.Doctor(a), machine.Report(a), machine.IMAPolicy(a), query.Version(a), man.Command(a),
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
