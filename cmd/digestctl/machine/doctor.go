// SPDX-License-Identifier: Apache-2.0

// Package machine implements the verbs for the whole machine: doctor, report and ima-policy.
package machine

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/doctor"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/spf13/cobra"
)

// doctorDocument is what doctor prints for programs.
type doctorDocument struct {
	Healthy  bool             `json:"healthy"`
	Failed   int              `json:"failed"`
	Warned   int              `json:"warned"`
	Findings []doctor.Finding `json:"findings"`
}

// Doctor is digestctl doctor.
func Doctor(a *cli.App) *cobra.Command {
	var path string
	var about strings.Builder
	var names []string
	var known []cobra.Completion
	for _, c := range doctor.Checks() {
		about.WriteString("\n  " + c.Name + strings.Repeat(" ", 12-len(c.Name)) + c.Well)
		names = append(names, c.Name)
		known = append(known, cobra.CompletionWithDesc(c.Name, c.Well))
	}
	cmd := &cobra.Command{
		Annotations: a.Prints(doctorDocument{}),
		Use:         "doctor [CHECK...]",
		Short:       "Check that the machine has everything digestd needs",
		Long: `Doctor checks the machine for everything digestd needs, even if digestd is not running.
Each result is ok, warn, fail, or skipped with the reason; for a fault it shows the command that fixes it.
Doctor changes nothing. Some checks need root. If digestd answers, doctor checks the configuration, socket and
directories that digestd uses; --config names another configuration. With arguments it runs only these checks:

` + strings.TrimPrefix(about.String(), "\n") + `

It exits with 3 if a check failed, and with 0 if there are only warnings.`,
		Example: "  sudo digestctl doctor\n  digestctl doctor socket plugin",
		Args: func(cmd *cobra.Command, args []string) error {
			for _, arg := range args {
				if !slices.Contains(names, arg) {
					return fmt.Errorf("doctor has no check %q; it has: %s", arg, strings.Join(names, ", "))
				}
			}
			return nil
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			left := slices.DeleteFunc(slices.Clone(known), func(c cobra.Completion) bool {
				name, _, _ := strings.Cut(c, "\t")
				return slices.Contains(args, name)
			})
			return left, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			a.Started = true
			st, err := status(cmd.Context(), busFor(a, cmd, path))
			m := doctorOf(a, path, func(context.Context) (api.Status, error) { return st, err })
			if err == nil && !cmd.Flags().Changed("config") {
				lookAtRunning(m, &st)
			}
			doc := doctorDocument{Findings: m.Examine(cmd.Context(), args...)}
			if err := cmd.Context().Err(); err != nil {
				return err
			}
			for _, f := range doc.Findings {
				switch f.Verdict {
				case doctor.Fail:
					doc.Failed++
				case doctor.Warn:
					doc.Warned++
				}
			}
			doc.Healthy = doc.Failed == 0
			if !doc.Healthy {
				a.Code = cli.ExitBad
			}
			if a.JSON {
				return a.UI.JSON(doc)
			}
			printFindings(a.UI, doc, m.Root)
			return nil
		},
	}
	cmd.Flags().StringVar(&path, "config", config.DefaultPath, "read digestd's configuration from `FILE`")
	return cmd
}

// doctorOf prepares the checks of this machine.
func doctorOf(a *cli.App, conf string, status func(context.Context) (api.Status, error)) *doctor.Machine {
	return &doctor.Machine{Config: conf, Root: os.Geteuid() == 0, Now: time.Now, Patience: doctor.Patience, Version: api.Version, Status: status}
}

// status asks digestd how it is.
func status(ctx context.Context, bus string) (st api.Status, err error) {
	ctx, cancel := context.WithTimeout(ctx, doctor.Patience/2)
	defer cancel()
	c, err := client.Dial(ctx, bus)
	if err != nil {
		return st, doctor.NoBus{Err: err}
	}
	defer c.Close()
	c.StartNothing() // it is to be found as it is
	return c.Status(ctx)
}

// lookAtRunning has the doctor look at the files and directories of the digestd that
// answered, which may be another than that of the default configuration.
func lookAtRunning(m *doctor.Machine, st *api.Status) {
	m.Running = st
	if st.Places.Configuration != "" {
		m.Config = st.Places.Configuration
	}
}

// busFor is the bus to ask on: the one named on the command line, or else the
// one that digestd is told to be on.
func busFor(a *cli.App, cmd *cobra.Command, path string) string {
	if cmd.Flags().Changed("bus") {
		return a.Bus
	}
	if c, err := config.Load(path); err == nil && c.Bus != "none" {
		return c.Bus
	}
	return a.Bus
}

func printFindings(t *terminal.UI, doc doctorDocument, root bool) {
	summary := terminal.Count(doc.Failed, "check failed", "checks failed") + ", " + terminal.Count(doc.Warned, "warning", "warnings")
	switch {
	case doc.Failed > 0:
		t.Say(terminal.Bad, "digestd needs attention: %s", summary)
	case doc.Warned > 0:
		t.Say(terminal.Warn, "digestd works: %s", terminal.Count(doc.Warned, "warning", "warnings"))
	default:
		t.Say(terminal.Good, "digestd has everything it needs")
	}
	styles := map[doctor.Verdict]terminal.Style{doctor.OK: terminal.Good, doctor.Warn: terminal.Warn, doctor.Fail: terminal.Bad, doctor.Skipped: terminal.Faint}
	skipped := false
	for _, f := range doc.Findings {
		t.Labelled(t.Paint(styles[f.Verdict], string(f.Verdict)), utf8.RuneCountInString(string(f.Verdict)), f.Check, f.Found)
		t.Labelled("", 0, "fix", f.Fix)
		t.Labelled("", 0, "note", f.Advice)
		skipped = skipped || f.Verdict == doctor.Skipped
	}
	if skipped && !root {
		t.Say(terminal.Plain, "for checks that need root: sudo digestctl doctor")
	}
}
