// SPDX-License-Identifier: Apache-2.0

// Package verify implements the verbs that compare the machine with its lists, and correct
// differences: verify, fix and sync.
package verify

import (
	"context"
	"errors"
	"fmt"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/cmd/digestctl/userfile"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

// verifyDocument is what verify and fix print for programs.
type verifyDocument struct {
	Findings     []api.Finding    `json:"findings"`
	Verification api.Verification `json:"verification"`
}

// failedDocument is the document of a verification that failed after the first finding.
type failedDocument struct {
	Findings []api.Finding `json:"findings"`
	Error    api.Error     `json:"error"`
}

// scope is the part of the machine to verify.
type scope struct {
	all, idle, resume bool
	packages          []string
}

func scopeFlags(a *cli.App, cmd *cobra.Command, s *scope) {
	cmd.Flags().BoolVar(&s.all, "all", false, "verify all lists and executables")
	cmd.Flags().StringArrayVar(&s.packages, "package", nil, "verify the files of `PACKAGE`; can be repeated")
	cmd.RegisterFlagCompletionFunc("package", a.Asking(cli.PackageNames))
	cmd.Flags().BoolVar(&s.idle, "idle", false, "use processors and disks only when they are idle")
	cmd.Flags().BoolVar(&s.resume, "resume", false, "resume the same verification if it was interrupted")
}

// check makes a command take paths, packages or everything.
func (s *scope) check(cmd *cobra.Command, args []string) error {
	switch chosen := len(args) + len(s.packages); {
	case s.all && chosen > 0:
		return fmt.Errorf("%s takes either --all, or PATH and --package", cli.VerbName(cmd))
	case !s.all && chosen == 0:
		return fmt.Errorf("%s needs PATH, --package or --all", cli.VerbName(cmd))
	}
	return nil
}

// request is what to ask for, of these paths.
func (s *scope) request(paths []string) (req api.VerifyRequest, err error) {
	req = api.VerifyRequest{Packages: s.packages, Idle: s.idle, Resume: s.resume}
	for _, p := range paths {
		abs, err := userfile.Absolute(p)
		if err != nil {
			return req, err
		}
		req.Paths = append(req.Paths, abs)
	}
	return req, nil
}

// Verify is digestctl verify.
func Verify(a *cli.App) *cobra.Command {
	var s scope
	var findings bool
	cmd := &cobra.Command{
		Annotations: a.Prints(verifyDocument{}, failedDocument{}),
		Use:         "verify PATH...|--package PACKAGE|--all",
		Short:       "Compare the files on disk with the lists",
		Long: `Verify reads files and compares them with the lists that vouch for them. It reports
files that changed, are missing or are bound to a wrong list, and executables, libraries
and kernel modules that no list includes. PATH is a file, or a directory with everything
below it on the local disks of this machine.

Changed configuration files, missing documentation and files that rpm did not install
are notices, not errors. Verify reads a file with several names once. It does not check
owners and modes; use rpm --verify for that.

After an interruption or a restart of digestd you can continue with --resume. --findings
prints the findings of the latest verification and verifies nothing.

It exits with 0 if there are no differences, with 3 if there are, and with 4 if there is
no such PATH. With --json it prints findings as they are found.`,
		Example: "  digestctl verify --all\n  digestctl verify --all --idle --resume\n  digestctl verify --package openssh-server\n  digestctl verify /usr/local/bin",
		Args: func(cmd *cobra.Command, args []string) error {
			if findings {
				return cli.Exactly()(cmd, args)
			}
			return s.check(cmd, args)
		},
		RunE: a.Verb(func(ctx context.Context, c *client.Client, args []string) error {
			if findings {
				return latestFindings(a, ctx, c)
			}
			req, err := s.request(args)
			if err != nil {
				return err
			}
			return runVerification(a, ctx, c, c.Verify, req)
		}),
	}
	scopeFlags(a, cmd, &s)
	cmd.Flags().BoolVar(&findings, "findings", false, "print the findings of the latest verification")
	return cmd
}

// latestFindings prints what is on record.
func latestFindings(a *cli.App, ctx context.Context, c *client.Client) error {
	v, err := c.Verification(ctx)
	if err != nil {
		return err
	}
	f := &findings{app: a, client: c, progress: &terminal.Progress{UI: a.UI, Off: true}}
	if err := f.fetch(ctx); err != nil {
		return f.failed(err)
	}
	return f.ended(v)
}

// runVerification starts a job and prints what it finds as it goes.
func runVerification(a *cli.App, ctx context.Context, c *client.Client,
	run func(context.Context, api.VerifyRequest, client.Progress) (api.Verification, error), req api.VerifyRequest) error {
	f := &findings{app: a, client: c, progress: &terminal.Progress{UI: a.UI, Off: a.JSON || a.Quiet}}
	begun := false
	var trouble error
	v, err := run(ctx, req, func(stage string, done, total uint64) {
		// Before these stages the findings on record are those of another time.
		if begun = begun || stage == "comparing" || stage == "searching"; begun && trouble == nil {
			trouble = f.fetch(ctx)
		}
		f.progress.Show(stage, done, total)
	})
	defer f.progress.End()
	if err == nil {
		err = trouble
	}
	if err == nil {
		err = f.fetch(ctx)
	}
	if errors.Is(err, context.Canceled) {
		err = &api.Error{Code: api.Failed, Message: "interrupted", Advice: "continue later with the same command and --resume"}
	}
	if err != nil {
		return f.failed(err)
	}
	return f.ended(v)
}
