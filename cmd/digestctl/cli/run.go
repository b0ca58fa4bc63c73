// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/spf13/cobra"
)

// Main carries out the command line of this process, with the verbs that root
// assembles, and ends the process with the exit code. Interrupting it cancels what the
// verb does.
func Main(root func(*App) *cobra.Command) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := Run(ctx, root, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Run carries out one command line and returns the exit code.
func Run(ctx context.Context, root func(*App) *cobra.Command, args []string, stdout, stderr io.Writer) int {
	a := &App{UI: terminal.New(stdout, stderr)}
	command := root(a)
	command.SetArgs(args)
	command.SetOut(stdout)
	command.SetErr(stderr)
	cmd, err := command.ExecuteContextC(ctx)
	if err == nil {
		return a.Code
	}
	if !a.Started {
		// An error in the command line may have hidden the flag from cobra.
		a.JSON = a.JSON || slices.Contains(args, "--json")
		err = Usage(err, cmd.CommandPath())
	}
	trouble := Explain(err)
	if trouble.Exit == exitUsage {
		trouble.Error.Advice = cmp.Or(trouble.Error.Advice, "see "+cmd.CommandPath()+" --help")
	}
	if a.JSON {
		a.UI.JSON(trouble)
	} else {
		a.UI.Trouble(trouble.Error.Message, trouble.Error.Advice)
	}
	return trouble.Exit
}

// Root makes the command that has these verbs, in the order in which help and manual
// have them, and the flags that all of them have.
func Root(a *App, verbs ...*cobra.Command) *cobra.Command {
	cobra.EnableCommandSorting = false // what is asked most often comes first
	root := &cobra.Command{
		Use:   "digestctl",
		Short: "Query and control digestd",
		Long: `digestctl asks digestd which digest lists are active, and whether and why they vouch
for a file, and records the decisions of administrators.

A PACKAGE is a name, name.arch, or name-[epoch:]version-release.arch as rpm -q
prints it.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			a.UI.SetUp(a.Quiet, a.NoColor || os.Getenv("NO_COLOR") != "")
			return a.UI.SetProgress(cmp.Or(a.Progress, os.Getenv("DIGESTCTL_PROGRESS")))
		},
	}
	flags := root.PersistentFlags()
	flags.BoolVar(&a.JSON, "json", false, "print one JSON document")
	flags.BoolVarP(&a.Quiet, "quiet", "q", false, "print errors only")
	flags.BoolVar(&a.NoColor, "no-color", false, "use no colors, like NO_COLOR=1")
	flags.StringVar(&a.Progress, "progress", "", "show progress as `MODE`: auto, bar, lines or none")
	root.RegisterFlagCompletionFunc("progress", cobra.FixedCompletions(terminal.ProgressModes(), cobra.ShellCompDirectiveNoFileComp))
	flags.StringVar(&a.Bus, "bus", "system", "use the D-Bus at `ADDRESS`")
	root.RegisterFlagCompletionFunc("bus", cobra.FixedCompletions([]cobra.Completion{"system"}, cobra.ShellCompDirectiveDefault))
	root.AddCommand(verbs...)
	completeNothing(root)
	wrapHelp(root)
	return root
}

// completeNothing keeps shells from offering files where none is meant.
func completeNothing(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		if c.ValidArgsFunction == nil && !slices.Contains([]string{"why", "verify", "fix", "check", "man"}, c.Name()) {
			c.ValidArgsFunction = cobra.NoFileCompletions
		}
		completeNothing(c)
	}
}
