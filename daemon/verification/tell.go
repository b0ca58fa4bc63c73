// SPDX-License-Identifier: Apache-2.0

package verification

import (
	"context"
	"fmt"
	"strings"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store/record"
)

// maxTold bounds the findings of one run that enter the log, of which the
// journal is made; all are among the findings.
const maxTold = 100

// tell puts the result on record.
func (v *Verifier) tell(ctx context.Context, by api.Actor, r api.Verification) error {
	told, _, err := v.runs.page(0, api.MaxPage)
	if err != nil {
		return err
	}
	err = v.Exec.Enter(ctx, "verified", func(s *ledger.Ledger) error {
		outcome := "clean"
		if r.Errors > 0 {
			outcome = "findings"
		}
		n := 0
		for _, f := range told {
			if f.Severity == api.SeverityNotice && !f.Fixed || n == maxTold {
				continue
			}
			n++
			kind := audit.KindFound
			if f.Fixed {
				kind = audit.KindFixed
			}
			s.Event(record.Event{Kind: kind, Package: f.Package, List: f.List, Reason: f.Kind, Text: strings.TrimSpace(f.Path + " " + f.Text), UID: by.UID, PID: by.PID})
		}
		s.Event(record.Event{Kind: audit.KindVerified, Reason: outcome, Text: summary(r), UID: by.UID, PID: by.PID})
		s.Record()
		return nil
	})
	v.Logger.Info("verified", "scope", scopeText(r), "packages", r.Packages, "files", r.Files, "bytes", r.Bytes, "errors", r.Errors,
		"notices", r.Notices, "fixed", r.Fixed, "duration", r.Duration)
	return err
}

// summary says in a line what a verification came to.
func summary(r api.Verification) string {
	text := fmt.Sprintf("%s of %s: %s", view.Plural(r.Files, "file"), view.Plural(r.Packages, "package"), view.Plural(r.Errors, "error"))
	for _, c := range []struct {
		n         int
		one, many string
	}{
		{r.Counts.Changed, "changed", "changed"}, {r.Counts.Missing, "missing", "missing"},
		{r.Counts.Unvouched, "executable without a list", "executables without a list"}, {r.Counts.Label, "wrongly bound", "wrongly bound"},
		{r.Counts.List, "list missing", "lists missing"}, {r.Counts.Withheld, "package withheld", "packages withheld"},
		{r.Counts.Unreadable, "unreadable", "unreadable"}, {r.Fixed, "fixed", "fixed"},
	} {
		switch c.n {
		case 0:
		case 1:
			text += ", 1 " + c.one
		default:
			text += fmt.Sprintf(", %d %s", c.n, c.many)
		}
	}
	return text
}

// scopeText says what a verification was of.
func scopeText(v api.Verification) string {
	if v.All {
		return "all"
	}
	return strings.Join(v.Scope, " ")
}
