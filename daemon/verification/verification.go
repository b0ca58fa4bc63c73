// SPDX-License-Identifier: Apache-2.0

// Package verification compares the files of the machine with what vouches for them, in a
// process of its own, and keeps a record of the latest comparison.
package verification

import (
	"context"
	"slices"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/reconcile"
)

// Verifier compares files with what vouches for them.
type Verifier struct {
	*host.Host
	reconciler *reconcile.Reconciler
	runs       recorder
}

// New returns a Verifier of the files of h.
func New(h *host.Host, r *reconcile.Reconciler) *Verifier {
	return &Verifier{Host: h, reconciler: r}
}

// Verification returns the running verification, or the latest one. The error is
// [api.NotFound] if there was none.
func (v *Verifier) Verification(context.Context) (api.Verification, error) {
	v.runs.open(v.Config.State)
	latest, _ := v.runs.latest()
	if latest.State == "" {
		return latest, &api.Error{Code: api.NotFound, Message: "nothing was verified yet", Advice: "digestctl verify --all"}
	}
	return latest, nil
}

// Findings returns a page of what the latest verification has found so far, in the order in
// which it was found, and how many findings are kept.
func (v *Verifier) Findings(_ context.Context, offset, limit uint32) ([]api.Finding, uint32, error) {
	v.runs.open(v.Config.State)
	return v.runs.page(offset, limit)
}

// AddVerified puts the latest verification of everything that came to its end into a
// status, with a problem if it found an error.
func (v *Verifier) AddVerified(st *api.Status) {
	v.runs.open(v.Config.State)
	if _, st.Verified = v.runs.latest(); st.Verified.Errors == 0 {
		return
	}
	st.Problems = append(slices.Clip(st.Problems), api.Problem{ID: "verification", Severity: api.SeverityWarning,
		Text:   "the latest verification found something: " + summary(st.Verified),
		Advice: "see the findings: digestctl verify --findings; when they are fixed: digestctl verify --all", Since: st.Verified.Ended})
}
