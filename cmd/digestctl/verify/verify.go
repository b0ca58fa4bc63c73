// SPDX-License-Identifier: Apache-2.0

// Package verify is the verbs that compare what is there with what should be, and put
// it right: verify, fix and sync.
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

// scope is what a verification is to look at.
type scope struct {
	all, idle, resume bool
	packages          []string
}

func scopeFlags(a *cli.App, cmd *cobra.Command, s *scope) {
	cmd.Flags().BoolVar(&s.all, "all", false, "look at everything")
	cmd.Flags().StringArrayVar(&s.packages, "package", nil, "look at the files of `PACKAGE`; may be given again")
	cmd.RegisterFlagCompletionFunc("package", a.Asking(cli.PackageNames))
	cmd.Flags().BoolVar(&s.idle, "idle", false, "give way to everybody else: on processors and disks")
	cmd.Flags().BoolVar(&s.resume, "resume", false, "go on where the same was interrupted, if it was")
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
		Annotations: cli.Prints(verifyDocument{}),
		Use:         "verify PATH...|--package PACKAGE|--all",
		Short:       "Compare the files on disk with what is vouched for",
		Long: `Verify reads files and compares them with the lists that vouch for them: what was
changed, what is missing, what is bound to a wrong list, and which executables no
list includes: files that may be executed, libraries and kernel modules. PATH is
a file, or a directory with all below it on the disks of this machine.

Configuration that was changed, and documentation that is missing, is noticed but
no error; nor is what rpm did not install. A file with several names is read
once. Owners and modes are rpm's to verify.

A user who interrupts it can go on later with --resume, and so can one who finds that
digestd was restarted meanwhile. --findings prints what the latest verification
found, and verifies nothing.

It exits with 0 when all is as it should be, with 3 when something is not, and
with 4 when there is no such PATH. With --json findings are printed as they come.`,
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
	cmd.Flags().BoolVar(&findings, "findings", false, "print what the latest verification found")
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
		err = &api.Error{Code: api.Failed, Message: "interrupted", Advice: "go on later with the same command and --resume"}
	}
	if err != nil {
		return f.failed(err)
	}
	return f.ended(v)
}
