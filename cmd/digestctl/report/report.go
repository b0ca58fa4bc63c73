// SPDX-License-Identifier: Apache-2.0

// Package report makes one page for people of everything that digestd knows about a machine:
// vouched and unvouched files, the keys behind them, decisions, and the next steps.
//
// It promises that the page is self-contained and needs neither scripts nor a network, that
// names on it are never more than text, and that it says where it omits something. digestd
// supplies the facts; only the executables it finds by itself.
package report

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/digestd/digestd/cmd/digestctl/doctor"
	"github.com/digestd/digestd/daemon/api"
)

// Report is all that the page shows.
type Report struct {
	Made      time.Time        `json:"made"`      // when the facts were gathered
	Host      string           `json:"host"`      // the machine's name
	Status    api.Status       `json:"status"`    // of digestd
	Next      []Step           `json:"next"`      // what to do, most urgent first
	Coverage  Coverage         `json:"coverage"`  // of executables by lists
	Verified  Verified         `json:"verified"`  // contents, as they were compared last
	Keys      []api.Key        `json:"keys"`      // keys that vouch, or vouched in the past
	Lists     []api.List       `json:"lists"`     // of all states
	Floors    []api.Floor      `json:"floors"`    // floors that are set
	Denials   []api.Denial     `json:"denials"`   // denials in force
	Decisions []api.Event      `json:"decisions"` // newest first
	Earlier   int              `json:"earlier"`   // number of decisions that are not shown
	Findings  []doctor.Finding `json:"findings"`  // findings of digestctl doctor
	Guard     Guarded          `json:"guard"`     // refusals of the guard
}

// Step is something to do.
type Step struct {
	Severity string `json:"severity"`         // error, warning, notice
	Text     string `json:"text"`             // what the problem is
	Command  string `json:"command,omitzero"` // a command that fixes or explains it
	Advice   string `json:"advice,omitzero"`  // advice in words
}

// Verified is the latest comparison of the files with the lists, with its errors.
type Verified struct {
	api.Verification
	Findings []api.Finding `json:"findings"` // the first findings, if the user may see them
	Hidden   bool          `json:"hidden"`   // the user may not see the findings
}

// Source answers the questions of a report.
type Source interface {
	Status(ctx context.Context) (api.Status, error)
	Keys(ctx context.Context) ([]api.Key, error)
	Lists(ctx context.Context) ([]api.List, error)
	Floors(ctx context.Context) ([]api.Floor, error)
	Denials(ctx context.Context) ([]api.Denial, error)
	Decisions(ctx context.Context, most int) (events []api.Event, total int, err error)
	Verified(ctx context.Context, most int) (Verified, error)
	GuardDenials(ctx context.Context) (Guarded, error)
	Why(ctx context.Context, path string) (api.Why, error)
	Files(ctx context.Context, list string, fn func(api.File)) error
}

// The largest numbers of decisions and findings on the page.
const (
	maxDecisions = 500
	maxFindings  = 500
)

// Gather collects the facts. It calls report with its progress.
func Gather(ctx context.Context, src Source, tell func(stage string, done, total uint64)) (*Report, error) {
	r := &Report{Made: time.Now()}
	tell("asking", 0, 0)
	var err error
	if r.Status, err = src.Status(ctx); err != nil {
		return nil, err
	}
	if r.Keys, err = src.Keys(ctx); err != nil {
		return nil, err
	}
	if r.Lists, err = src.Lists(ctx); err != nil {
		return nil, err
	}
	if r.Floors, err = src.Floors(ctx); err != nil {
		return nil, err
	}
	if r.Denials, err = src.Denials(ctx); err != nil {
		return nil, err
	}
	if r.Verified, err = src.Verified(ctx, maxFindings); err != nil {
		return nil, err
	}
	total := 0
	if r.Decisions, total, err = src.Decisions(ctx, maxDecisions); err != nil {
		return nil, err
	}
	r.Earlier = total - len(r.Decisions)
	if r.Guard, err = src.GuardDenials(ctx); err != nil {
		return nil, err
	}
	if r.Coverage, err = cover(ctx, src, r.Status.Root, r.Lists, tell); err != nil {
		return nil, err
	}
	return r, nil
}

// Advise derives the next steps from all facts.
func (r *Report) Advise() {
	r.Next = []Step{}
	add := func(severity, command, advice, format string, args ...any) {
		r.Next = append(r.Next, Step{severity, fmt.Sprintf(format, args...), command, advice})
	}
	for _, p := range r.Status.Problems {
		add(p.Severity, "", p.Advice, "%s", p.Text)
	}
	for _, f := range r.Findings {
		// The state of digestd stands above.
		switch {
		case f.Check == "daemon":
		case f.Verdict == doctor.Fail:
			add(api.SeverityError, f.Fix, f.Advice, "%s: %s", f.Check, f.Found)
		case f.Verdict == doctor.Warn:
			add(api.SeverityWarning, f.Fix, f.Advice, "%s: %s", f.Check, f.Found)
		}
	}
	if n := r.Status.Guard.Counts.Missed; n > 0 && r.Status.Guard.Mode == api.GuardAudit {
		add(api.SeverityNotice, "digestctl guard learn", "", "%s refused in mode enforce", plural(int(min(n, 1<<31)), "use of a file would be", "uses of files would be"))
	}
	said := slices.ContainsFunc(r.Status.Problems, func(p api.Problem) bool { return p.ID == "quarantine" })
	if n := r.Status.Lists.Quarantined; n > 0 && !said {
		add(api.SeverityWarning, "digestctl list quarantined", "find out which program put them there, then remove them",
			"%s quarantined", plural(n, "file is", "files are"))
	}
	if n := r.Status.Lists.Withheld; n > 0 {
		add(api.SeverityWarning, "digestctl list withheld", "", "%s installed but not vouched for", plural(n, "package is", "packages are"))
	}
	c := r.Coverage
	if n := c.Executables - c.Named; n > 0 && len(c.Unnamed) > 0 {
		add(api.SeverityNotice, "digestctl why "+quoted(c.Unnamed[0].Path),
			"make a list of the wanted files: digestctl own add NAME PATH... --reason WHY", "%s in no active list", plural(n, "executable is", "executables are"))
	}
	switch v := r.Verified; {
	case v.State == "":
		add(api.SeverityNotice, "digestctl verify --all", "", "files were never compared with the lists")
	case v.State == api.VerifyInterrupted:
		add(api.SeverityNotice, "digestctl verify --all --resume", "", "the latest verification was interrupted")
	}
	if n := r.Status.Lists.Grace; n > 0 {
		add(api.SeverityNotice, "systemctl reboot", "", "%s until the next boot", plural(n, "replaced list stays", "replaced lists stay"))
	}
	rank := map[string]int{api.SeverityError: 0, api.SeverityWarning: 1, api.SeverityNotice: 2}
	slices.SortStableFunc(r.Next, func(a, b Step) int { return rank[a.Severity] - rank[b.Severity] })
}

// quoted makes a path one word for a shell; one that holds what could do more
// there is left to the reader.
func quoted(path string) string {
	if strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\'' || r == '\uFFFD' }) {
		return "PATH"
	}
	if strings.ContainsAny(path, " \"$`\\!*?[]{}()<>|&;#~") {
		return "'" + path + "'"
	}
	return path
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
