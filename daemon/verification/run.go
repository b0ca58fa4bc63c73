// SPDX-License-Identifier: Apache-2.0

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
	"github.com/digestd/digestd/daemon/reconcile"
	"github.com/digestd/digestd/daemon/verify"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store/record"
	"golang.org/x/sys/unix"
)

// maxWanted bounds the paths and packages of one request.
const maxWanted = 4096

// Verify compares what is on disk with what is vouched for, and returns when that is done
// or ctx ends; then what was found is kept, and the next call can go on. report hears of
// stages, with the files of lists that are done and those there are. [api.Busy] says that
// another verification runs, [api.InvalidArgument] that the request has a path that is not
// absolute or too many paths and packages, [api.NotFound] that a package is not installed.
func (v *Verifier) Verify(ctx context.Context, by api.Actor, req api.VerifyRequest, report func(stage string, done, total int)) (api.Verification, error) {
	runs := &v.runs
	runs.open(v.Config.State)
	if !runs.lock(ctx) {
		return api.Verification{}, &api.Error{Code: api.Busy, Message: "a verification is in progress", Advice: "wait for it, or see digestctl status"}
	}
	defer runs.running.Unlock()
	fresh, resume, err := v.wanted(&req)
	if err != nil {
		return api.Verification{}, err
	}
	if req.Fix {
		// Lists first: labels lead to them.
		if _, err := v.reconciler.Run(ctx, reconcile.ReasonFix, report); err != nil {
			return api.Verification{}, err
		}
	}
	spec, err := v.specOf(req)
	if err != nil {
		return api.Verification{}, err
	}
	if spec.After, err = runs.begin(fresh, resume); err != nil {
		return api.Verification{}, err
	}
	v.Logger.Info("verification begins", "uid", by.UID, "pid", by.PID, "scope", scopeText(fresh), "resumed", resume, "fix", req.Fix)
	noted := v.Now()
	took := func() time.Duration {
		now := v.Now()
		since := now.Sub(noted)
		noted = now
		return since
	}
	p := progress{report: report, done: runs.record.Latest.Files}
	err = verify.Run(ctx, spec, func(m verify.Message) error {
		p.hear(m)
		if m.Unit != nil {
			if err := runs.take(m.Unit); err != nil {
				return err
			}
		}
		if v.Now().Sub(noted) < saveTime {
			return nil
		}
		return runs.note(took())
	})
	state := api.VerifyFinished
	if err != nil {
		state = api.VerifyInterrupted
	}
	result, eerr := runs.end(state, took(), v.Now())
	if err = errors.Join(err, eerr); err != nil {
		v.Logger.Warn("verification ends early", "error", err)
		return result, err
	}
	return result, v.tell(ctx, by, result)
}

// wanted checks a request, and says whether it goes on with what was interrupted.
func (v *Verifier) wanted(req *api.VerifyRequest) (fresh api.Verification, resume bool, err error) {
	if len(req.Paths)+len(req.Packages) > maxWanted {
		return fresh, false, api.Errorf(api.InvalidArgument, "more than %d paths and packages at once", maxWanted)
	}
	for _, p := range req.Paths {
		if !filepath.IsAbs(p) || strings.ContainsRune(p, 0) || len(p) > unix.PathMax {
			return fresh, false, api.Errorf(api.InvalidArgument, "%q is not an absolute path", p)
		}
	}
	fresh = api.Verification{State: api.VerifyRunning, Fix: req.Fix, All: len(req.Paths)+len(req.Packages) == 0,
		Started: v.Now()}
	for _, text := range slices.Concat(req.Paths, req.Packages) {
		fresh.Scope = append(fresh.Scope, api.Clean(text))
	}
	if req.Resume {
		latest, _ := v.runs.latest()
		resume = latest.State == api.VerifyInterrupted && latest.Fix == fresh.Fix && latest.All == fresh.All && slices.Equal(latest.Scope, fresh.Scope)
	}
	return fresh, resume, nil
}

// specOf says what is vouched for now, and what of it a request is about.
func (v *Verifier) specOf(req api.VerifyRequest) (spec verify.Spec, err error) {
	snap := v.Snapshot()
	spec = verify.Spec{Root: v.Config.Root, Lists: v.Config.Lists, Fix: req.Fix, Unlabelled: req.Unlabelled, Idle: req.Idle,
		Tree: len(req.Paths)+len(req.Packages) == 0, Entries: make([]verify.Entry, 0, len(snap.Entries))}
	if spec.Database, err = v.LocateDB(); err != nil {
		spec.Database = "" // no packages, no roles
	}
	for _, p := range req.Paths {
		spec.Paths = append(spec.Paths, verify.Path(v.InsideRoot(p)))
	}
	named := make(map[string]bool, len(req.Packages))
	for _, e := range snap.Entries {
		if e.State == record.Empty || e.Change == record.Moving {
			continue // there is nothing to vouch for, or it is there under another name
		}
		entry := verify.Entry{Name: e.Name, State: string(e.State), Package: e.Package.String(), Text: e.Text,
			Own: e.Own != "", Old: e.Grace != ""}
		entry.Wanted = len(req.Packages) == 0 && !entry.Old
		if !e.Header.IsZero() {
			entry.Header = e.Header[:]
		}
		if e.Active() {
			entry.File = e.File[:]
		}
		for _, pkg := range req.Packages {
			if !entry.Old && view.Names(pkg, e.Package, e.Name) {
				entry.Wanted, named[pkg] = true, true
			}
		}
		spec.Entries = append(spec.Entries, entry)
	}
	for _, pkg := range req.Packages {
		if !named[pkg] {
			return spec, &api.Error{Code: api.NotFound, Message: fmt.Sprintf("no package %q with files is installed", pkg), Advice: "see digestctl list"}
		}
	}
	return spec, nil
}

// progress turns messages of the process that verifies into stages.
type progress struct {
	report      func(stage string, done, total int)
	done, total int
}

func (p *progress) hear(m verify.Message) {
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
