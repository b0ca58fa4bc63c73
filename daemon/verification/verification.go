// SPDX-License-Identifier: Apache-2.0

// Package verification compares the files of the machine with what vouches for them, in a
// process of its own, and keeps a record of the latest comparison.
package verification

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/reconcile"
	"github.com/digestd/digestd/daemon/verify"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store/record"
	"golang.org/x/sys/unix"
)

// Verifier compares files with what vouches for them.
type Verifier struct {
	*host.Host
	reconciler *reconcile.Reconciler
	verifier   verifier
}

// New returns what verifies the files of h.
func New(h *host.Host, r *reconcile.Reconciler) *Verifier {
	return &Verifier{Host: h, reconciler: r}
}

const (
	// maxTold bounds the findings of one run that enter the log, of which the
	// journal is made; all are among the findings.
	maxTold = 100
	// maxWanted bounds the paths and packages of one request.
	maxWanted = 4096
)

// Verify compares what is on disk with what is vouched for and returns when it
// is done or ctx ends; then what was found is kept, and the next can go on.
func (vf *Verifier) Verify(ctx context.Context, by api.Actor, req api.VerifyRequest, report func(stage string, done, total int)) (api.Verification, error) {
	v := &vf.verifier
	v.open(vf.Config.State)
	if !v.lock(ctx) {
		return api.Verification{}, &api.Error{Code: api.Busy, Message: "a verification is in progress", Advice: "wait for it, or see digestctl status"}
	}
	defer v.running.Unlock()
	fresh, resume, err := vf.wantedVerification(&req)
	if err != nil {
		return api.Verification{}, err
	}
	if req.Fix {
		// Lists first: labels lead to them.
		if _, err := vf.reconciler.Run(ctx, reconcile.ReasonFix, report); err != nil {
			return api.Verification{}, err
		}
	}
	spec, err := vf.verifySpec(req)
	if err != nil {
		return api.Verification{}, err
	}
	if spec.After, err = v.begin(fresh, resume); err != nil {
		return api.Verification{}, err
	}
	vf.Logger.Info("verification begins", "uid", by.UID, "pid", by.PID, "scope", scopeText(fresh), "resumed", resume, "fix", req.Fix)
	noted := vf.Now()
	took := func() time.Duration {
		now := vf.Now()
		since := now.Sub(noted)
		noted = now
		return since
	}
	p := verifyProgress{report: report, done: v.record.Latest.Files}
	err = verify.Run(ctx, spec, func(m verify.Message) error {
		p.hear(m)
		if m.Unit != nil {
			if err := v.take(m.Unit); err != nil {
				return err
			}
		}
		if vf.Now().Sub(noted) < saveTime {
			return nil
		}
		return v.note(took())
	})
	state := api.VerifyFinished
	if err != nil {
		state = api.VerifyInterrupted
	}
	result, eerr := v.end(state, took(), vf.Now())
	if err = errors.Join(err, eerr); err != nil {
		vf.Logger.Warn("verification ends early", "error", err)
		return result, err
	}
	return result, vf.tellVerified(ctx, by, result)
}

// cancelTime is how long one that was cancelled may take to end: whoever
// interrupted it may want the next at once.
const cancelTime = 3 * time.Second

// lock takes the right to verify; false means that somebody else has it.
func (v *verifier) lock(ctx context.Context) bool {
	const pause = 20 * time.Millisecond
	for waited := time.Duration(0); !v.running.TryLock(); waited += pause {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
		if waited >= cancelTime {
			return false
		}
	}
	return true
}

// wantedVerification checks a request against what was interrupted.
func (vf *Verifier) wantedVerification(req *api.VerifyRequest) (fresh api.Verification, resume bool, err error) {
	if len(req.Paths)+len(req.Packages) > maxWanted {
		return fresh, false, api.Errorf(api.InvalidArgument, "more than %d paths and packages at once", maxWanted)
	}
	for _, p := range req.Paths {
		if !filepath.IsAbs(p) || strings.ContainsRune(p, 0) || len(p) > unix.PathMax {
			return fresh, false, api.Errorf(api.InvalidArgument, "%q is no absolute path", p)
		}
	}
	fresh = api.Verification{State: api.VerifyRunning, Fix: req.Fix, All: len(req.Paths)+len(req.Packages) == 0,
		Started: vf.Now()}
	for _, text := range slices.Concat(req.Paths, req.Packages) {
		fresh.Scope = append(fresh.Scope, api.Clean(text))
	}
	if req.Resume {
		latest, _ := vf.verifier.latest()
		resume = latest.State == api.VerifyInterrupted && latest.Fix == fresh.Fix && latest.All == fresh.All && slices.Equal(latest.Scope, fresh.Scope)
	}
	return fresh, resume, nil
}

func scopeText(v api.Verification) string {
	if v.All {
		return "all"
	}
	return strings.Join(v.Scope, " ")
}

// verifySpec says what is vouched for now.
func (vf *Verifier) verifySpec(req api.VerifyRequest) (spec verify.Spec, err error) {
	snap := vf.Snapshot()
	spec = verify.Spec{Root: vf.Config.Root, Lists: vf.Config.Lists, Fix: req.Fix, Unlabelled: req.Unlabelled, Idle: req.Idle,
		Tree: len(req.Paths)+len(req.Packages) == 0, Entries: make([]verify.Entry, 0, len(snap.Entries))}
	if spec.Database, err = vf.LocateDB(); err != nil {
		spec.Database = "" // no packages, no roles
	}
	for _, p := range req.Paths {
		spec.Paths = append(spec.Paths, verify.Path(vf.InsideRoot(p)))
	}
	named := make(map[string]bool, len(req.Packages))
	for _, e := range snap.Entries {
		if e.State == record.Empty || e.Grace != "" || e.Change == record.Moving {
			continue // there is nothing to vouch for, or its files have gone
		}
		v := verify.Entry{Name: e.Name, State: string(e.State), Package: e.Package.String(), Text: e.Text,
			Own: e.Own != "", Old: e.Grace != ""}
		v.Wanted = len(req.Packages) == 0 && !v.Old
		if !e.Header.IsZero() {
			v.Header = e.Header[:]
		}
		if e.Active() {
			v.File = e.File[:]
		}
		for _, pkg := range req.Packages {
			if !v.Old && view.Names(pkg, e.Package, e.Name) {
				v.Wanted, named[pkg] = true, true
			}
		}
		spec.Entries = append(spec.Entries, v)
	}
	for _, pkg := range req.Packages {
		if !named[pkg] {
			return spec, &api.Error{Code: api.NotFound, Message: fmt.Sprintf("no package %q with files is installed", pkg), Advice: "see digestctl list"}
		}
	}
	return spec, nil
}

// verifyProgress turns messages into stages.
type verifyProgress struct {
	report      func(stage string, done, total int)
	done, total int
}

func (p *verifyProgress) hear(m verify.Message) {
	switch {
	case m.Total != nil:
		p.total = m.Total.Files
		p.report("comparing", min(p.done, p.total), p.total)
	case m.Beat != nil && m.Beat.Searching:
		p.report("searching", m.Beat.Dirs, 0)
	case m.Beat != nil:
		p.report("comparing", min(p.done+m.Beat.Files, p.total), p.total)
	}
}

// tellVerified puts the result on record.
func (vf *Verifier) tellVerified(ctx context.Context, by api.Actor, r api.Verification) error {
	told, _, err := vf.verifier.page(0, api.MaxPage)
	if err != nil {
		return err
	}
	err = vf.Exec.Enter(ctx, "verified", func(s *ledger.Ledger) error {
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
		s.Event(record.Event{Kind: audit.KindVerified, Reason: outcome, Text: verifiedText(r), UID: by.UID, PID: by.PID})
		s.Record()
		return nil
	})
	vf.Logger.Info("verified", "scope", scopeText(r), "packages", r.Packages, "files", r.Files, "bytes", r.Bytes, "errors", r.Errors,
		"notices", r.Notices, "fixed", r.Fixed, "duration", r.Duration)
	return err
}

func verifiedText(r api.Verification) string {
	text := fmt.Sprintf("%s of %s: %s", view.Plural(r.Files, "file"), view.Plural(r.Packages, "package"), view.Plural(r.Errors, "error"))
	for _, c := range []struct {
		n    int
		what string
	}{
		{r.Counts.Changed, "changed"}, {r.Counts.Missing, "missing"}, {r.Counts.Unvouched, "executables of nobody"},
		{r.Counts.Label, "wrongly bound"}, {r.Counts.List, "lists missing"}, {r.Counts.Withheld, "packages withheld"},
		{r.Counts.Unreadable, "unreadable"}, {r.Fixed, "put right"},
	} {
		if c.n > 0 {
			text += fmt.Sprintf(", %d %s", c.n, c.what)
		}
	}
	return text
}

// Verification returns the verification that runs, or the latest.
func (vf *Verifier) Verification(context.Context) (api.Verification, error) {
	vf.verifier.open(vf.Config.State)
	latest, _ := vf.verifier.latest()
	if latest.State == "" {
		return latest, &api.Error{Code: api.NotFound, Message: "nothing was verified yet", Advice: "digestctl verify --all"}
	}
	return latest, nil
}

// Findings returns a page of what the latest verification found so far.
func (vf *Verifier) Findings(_ context.Context, offset, limit uint32) ([]api.Finding, uint32, error) {
	vf.verifier.open(vf.Config.State)
	return vf.verifier.page(offset, limit)
}

// AddVerified puts the latest verification of everything into a status.
func (vf *Verifier) AddVerified(st *api.Status) {
	vf.verifier.open(vf.Config.State)
	if _, st.Verified = vf.verifier.latest(); st.Verified.Errors == 0 {
		return
	}
	st.Problems = append(slices.Clip(st.Problems), api.Problem{ID: "verification", Severity: api.SeverityWarning,
		Text:   "the latest verification found something: " + verifiedText(st.Verified),
		Advice: "see it with digestctl verify --findings; when it is mended: digestctl verify --all", Since: st.Verified.Ended})
}
