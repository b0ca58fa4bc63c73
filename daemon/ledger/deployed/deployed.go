// SPDX-License-Identifier: Apache-2.0

// Package deployed decides what follows when the machine was booted into another installed
// system than the one that digestd worked on last: a deployment of ostree, or a snapshot.
//
// Its packages came by no transaction here, and may be older than what was active: to go back
// is a rollback. The first comparison reports it by one problem. Unless the owner wants it
// refused, it publishes the lists of exactly those packages that rpm's database shows then and
// that the former deployment did not have. Counters do not fall, and denials, floors and
// revocations hold.
package deployed

import (
	"fmt"
	"slices"
	"strings"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// ProblemOlder stands while the deployment has packages that are older than what was active.
const ProblemOlder = "deployment-older"

// Booted takes note of what the machine is running; the fields of d that name it are set. A
// machine changes its deployment only by a boot: in one boot two of them are not believed.
func Booted(s *state.State, d record.Deployment) {
	if d.ID == "" {
		return // what is known stays: it may be back
	}
	s.Plan.Show = true
	switch was := s.Past.Deployed; {
	case was == nil:
		d.Since = s.Now()
		put(s, d)
	case was.Kind == d.Kind && was.ID == d.ID:
		if was.Boot != d.Boot || was.Name != d.Name {
			again := *was
			again.Boot, again.Name = d.Boot, d.Name
			put(s, again)
		}
		if was.Older > 0 {
			tellOf(s, olderIn(s))
		}
	case was.Boot == d.Boot:
		s.Log.Warn("deployment not believed: the machine has not been booted since another one", "deployment", d.Name, "known", was.Name)
	default:
		d.Since, d.From, d.Due = s.Now(), was.Name, true
		put(s, d)
		// The list directory may be that of the deployment, as it was left.
		s.Unsettled = true
		s.SetMark()
		s.Event(record.Event{Kind: audit.KindDeploymentChanged, Reason: d.Name, Text: "digestd worked on " + d.From + " before"})
	}
}

func put(s *state.State, d record.Deployment) {
	s.Past.Deployed = &d
	s.Queue.Batch.PutDeployment(d)
	s.Record()
}

// Part reports whether a comparison takes the package of a header for a part of the deployment.
// What the deployment before had as well is judged as it was there. It no longer had what was
// replaced there, though the list of that may be kept for what ran.
func Part(s *state.State, header record.Digest) bool {
	now := s.Past.Deployed
	if now == nil || header.IsZero() {
		return false
	}
	if !now.Due {
		return slices.Contains(now.Waiting, header)
	}
	e := s.ByHeader[header]
	return e == nil || e.Grace != ""
}

// Judge returns decision d about a part of the deployment as the owner wants it.
func Judge(s *state.State, c *view.Candidate, d policy.Decision) policy.Decision {
	if s.RefuseOlder {
		return d
	}
	return d.Retained(c.Pkg, s.Past.Deployed.Name)
}

// Compared ends what a comparison did for the deployment: parts are the headers of its parts, also
// of those that could not be judged.
func Compared(s *state.State, parts []record.Digest) {
	was := s.Past.Deployed
	if was == nil || !was.Due && len(was.Waiting) == 0 && was.Older == 0 {
		return
	}
	now := *was
	now.Due, now.Waiting = false, nil
	for _, header := range parts {
		e := s.ByHeader[header]
		if e == nil || e.State == record.Withheld || e.Grace != "" {
			now.Waiting = append(now.Waiting, header)
		}
	}
	slices.SortFunc(now.Waiting, func(a, b record.Digest) int { return slices.Compare(a[:], b[:]) })
	now.Waiting = slices.Compact(now.Waiting)
	older := olderIn(s)
	now.Older = len(older)
	if was.Due || now.Older != was.Older || !slices.Equal(now.Waiting, was.Waiting) {
		put(s, now)
	}
	tellOf(s, older)
	if was.Due && now.Older > 0 {
		s.Event(record.Event{Kind: audit.KindDeploymentOlder, Reason: now.Name, Text: text(&now, older)})
	}
}

// Ended has the number of older packages follow a transaction.
func Ended(s *state.State) {
	if was := s.Past.Deployed; was != nil && was.Older > 0 {
		older := olderIn(s)
		if len(older) != was.Older {
			now := *was
			now.Older = len(older)
			put(s, now)
		}
		tellOf(s, older)
	}
}

// olderIn returns the installed packages that are older than what was active here, but those that
// somebody granted.
func olderIn(s *state.State) (older []*view.Entry) {
	for _, e := range s.Sorted() {
		if e.Own == "" && e.Grace == "" && e.State != record.Empty && e.Change != record.Moving && !e.Granted && s.LineFor(e.Package, nil).Older(e.Package.EVR) {
			older = append(older, e)
		}
	}
	return older
}

// tellOf has one problem name them.
func tellOf(s *state.State, older []*view.Entry) {
	if len(older) == 0 {
		s.Solved(ProblemOlder)
		return
	}
	severity, advice := api.SeverityWarning, `boot the newer deployment, or update this one; to refuse older packages after such a change: deployment-rollback = "refuse" in digestd.conf`
	if s.RefuseOlder {
		severity, advice = api.SeverityError, `boot the newer deployment, or update this one; to publish the lists of its packages: deployment-rollback = "report" in digestd.conf, then: systemctl reload digestd`
	}
	s.Problem(ProblemOlder, severity, text(s.Past.Deployed, older), advice)
}

// text says how many packages of a deployment are older, and which are the first.
func text(d *record.Deployment, older []*view.Entry) string {
	const few = 3
	var names []string
	without := 0
	for i, e := range older {
		if i < few {
			names = append(names, e.Package.String())
		}
		if !e.Active() {
			without++
		}
	}
	if more := len(older) - few; more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	verb := "are"
	if len(older) == 1 {
		verb = "is"
	}
	said := "the machine was booted into " + d.Name
	if d.From != "" {
		said += " instead of " + d.From
	}
	said += fmt.Sprintf(": %s of it %s older than what was active here", view.Plural(len(older), "package"), verb)
	if without > 0 {
		said += fmt.Sprintf(", %d without a list", without)
	}
	return said + ": " + strings.Join(names, ", ")
}
