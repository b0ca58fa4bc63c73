// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/report"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/cmd/digestctl/userfile"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/config"
	"github.com/spf13/cobra"
)

// Report is digestctl report.
func Report(a *cli.App) *cobra.Command {
	var file, conf string
	var cmd *cobra.Command
	cmd = &cobra.Command{
		Annotations: a.Prints(report.Report{}),
		Use:         "report --html FILE",
		Short:       "Write a page: what is vouched for, what not, and what to do",
		Long: `Report writes one HTML page with everything digestd knows: executables by directory and list, packages by
state and key, files without a list and why, the decisions in order, and the next steps. The page is a single file,
without scripts, that needs no network. Report replaces an existing file when the new one is complete. With --json
it prints the same facts, with or without a page.

For each executable below the root the page says whether an active list has its path; report does not read the files.`,
		Example: "  sudo digestctl report --html /root/digestd.html\n  digestctl report --json",
		Args:    cli.Exactly(),
		PreRunE: func(*cobra.Command, []string) error {
			if file == "" && !a.JSON {
				return fmt.Errorf("report needs --html FILE, or --json")
			}
			return nil
		},
		RunE: a.Verb(func(ctx context.Context, c *client.Client, _ []string) error {
			p := &terminal.Progress{UI: a.UI, Off: a.Quiet || a.JSON}
			r, err := report.Gather(ctx, source{c}, p.Show)
			if err == nil {
				p.Show("checking", 0, 0)
				m := doctorOf(a, conf, func(context.Context) (api.Status, error) { return r.Status, nil })
				if !cmd.Flags().Changed("config") {
					lookAtRunning(m, &r.Status)
				}
				r.Findings = m.Examine(ctx)
				r.Host, _ = os.Hostname()
				r.Advise()
				err = ctx.Err()
			}
			p.End()
			if err != nil {
				return err
			}
			switch file {
			case "":
			case "-":
				return r.HTML(a.UI.Out)
			default:
				if err := writeWhole(file, r); err != nil {
					return fmt.Errorf("cannot write the report: %w", err)
				}
			}
			if a.JSON {
				return a.UI.JSON(r)
			}
			a.UI.Say(terminal.Good, "%s: %s", file, terminal.Count(len(r.Next), "next step", "next steps"))
			return nil
		}),
	}
	cmd.Flags().StringVar(&file, "html", "", "write the page to `FILE`, or - for standard output")
	cmd.Flags().StringVar(&conf, "config", config.DefaultPath, "check digestd's configuration in `FILE`")
	cmd.MarkFlagFilename("html", "html")
	return cmd
}

// writeWhole writes a page under its name when it is complete and on disk, for
// its owner alone to read: it names files of all users.
func writeWhole(name string, r *report.Report) (err error) {
	if err := userfile.MayReplace(name); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".digestctl-report-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	w := bufio.NewWriter(f)
	if err := r.HTML(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// source asks digestd for what a report shows.
type source struct{ *client.Client }

func (s source) Lists(ctx context.Context) (lists []api.List, err error) {
	lists = []api.List{}
	_, err = s.Client.Lists(ctx, "", 0, func(page []api.List) { lists = append(lists, page...) })
	return lists, err
}

func (s source) Denials(ctx context.Context) (denials []api.Denial, err error) {
	denials = []api.Denial{}
	_, err = s.Client.Denials(ctx, 0, func(page []api.Denial) { denials = append(denials, page...) })
	return denials, err
}

// Verified returns what the latest verification came to. Its findings are for users who may
// verify; digestctl asks nobody for a password only to make a page.
func (s source) Verified(ctx context.Context, most int) (report.Verified, error) {
	v := report.Verified{Findings: []api.Finding{}, Hidden: os.Geteuid() != 0}
	var err error
	var none *api.Error
	if v.Verification, err = s.Verification(ctx); errors.As(err, &none) && none.Code == api.NotFound {
		return report.Verified{Findings: v.Findings}, nil
	}
	if err != nil || v.Hidden {
		return v, err
	}
	_, err = s.Findings(ctx, 0, maxFindingsRead, func(page []api.Finding) {
		for _, f := range page {
			if f.Severity == api.SeverityError && !f.Fixed && len(v.Findings) < most {
				v.Findings = append(v.Findings, f)
			}
		}
	})
	return v, err
}

// maxFindingsRead is how many findings are looked through.
const maxFindingsRead = 20_000

func (s source) Decisions(ctx context.Context, most int) (events []api.Event, total int, err error) {
	events = []api.Event{}
	_, err = s.Log(ctx, api.LogFilter{}, 0, func(page []api.Event) {
		for _, e := range page {
			// Lists that come and go with an update are not decisions.
			if audit.Lookup(e.Kind).Priority >= audit.Info {
				continue
			}
			if total++; len(events) < most {
				events = append(events, e)
			}
		}
	})
	return events, total, err
}

// GuardDenials returns what the guard refused. It is for those who may see what others run.
func (s source) GuardDenials(ctx context.Context) (g report.Guarded, err error) {
	g = report.Guarded{Denials: []api.GuardDenial{}, Hidden: os.Geteuid() != 0}
	if g.Hidden {
		return g, nil
	}
	denials, err := s.Client.GuardDenials(ctx)
	var ours *api.Error
	switch {
	case client.BusError(err) == "UnknownMethod", errors.As(err, &ours):
		return g, nil // there is no guard, or it does not answer, which Status says
	case err != nil:
		return g, err
	}
	slices.Reverse(denials) // the latest first
	g.Denials = append(g.Denials, denials...)
	return g, nil
}

func (s source) Why(ctx context.Context, path string) (api.Why, error) {
	return s.Ask(ctx, path)
}

func (s source) Files(ctx context.Context, list string, fn func(api.File)) error {
	_, err := s.Client.Files(ctx, list, func(page []api.File) {
		for _, f := range page {
			fn(f)
		}
	})
	return err
}
