// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/policy/fleet"
	"github.com/digestd/digestd/store/record"
)

// carryOut records what policies say from now on, and does what follows.
func carryOut(s *grounds.Grounds, adopted, lapsed []heard, dropped []string) {
	was := maps.Clone(s.Policed.Said)
	for _, h := range adopted {
		put(s, h.Policy, h.said)
		s.Event(record.Event{Kind: audit.KindPolicyAdopted, Package: view.PolicyOrigin(h.Name), Digest: h.Digest, Key: h.Key,
			Reason: cmp.Or(h.Package, h.Path), Text: h.Effect})
		s.Log.Info("policy adopted", "policy", h.Name, "from", cmp.Or(h.Package, h.Path), "effect", h.Effect)
	}
	for _, h := range lapsed {
		put(s, h.Policy, h.said)
		s.Event(record.Event{Kind: audit.KindPolicyLapsed, Package: view.PolicyOrigin(h.Name), Digest: h.Digest, Reason: h.Why,
			Text: fmt.Sprintf("%s stay", view.Plural(h.said.Len(), "rule"))})
	}
	for _, name := range dropped {
		drop(s, name)
		s.Event(record.Event{Kind: audit.KindPolicyForgotten, Package: view.PolicyOrigin(name), Text: "its file is gone"})
	}
	follow(s, was)
}

// Forget lifts what stayed of a policy whose file is gone. [api.NotFound] says that no such
// policy says anything, [api.Failed] that its file still counts.
func Forget(s *grounds.Grounds, name string, a record.Act) error {
	p, known := s.Policed.Policies[name]
	if !known {
		return &api.Error{Code: api.NotFound, Message: fmt.Sprintf("there is no policy %q", name), Advice: "see digestctl policy show"}
	}
	if p.Gone.IsZero() {
		advice := "remove the file first, then: digestctl sync"
		if p.Package != "" {
			advice = "remove its package first, or install a release of it that says something else"
		}
		return &api.Error{Code: api.Failed, Message: fmt.Sprintf("the policy %s is in force, from %s", name, p.Path), Advice: advice}
	}
	was := maps.Clone(s.Policed.Said)
	drop(s, name)
	s.Event(record.Event{Kind: audit.KindPolicyForgotten, Package: view.PolicyOrigin(name), Text: a.Reason, UID: a.UID, PID: a.PID})
	follow(s, was)
	return nil
}

// follow does what follows from what policies say, which was something else. All that was
// queued is durable before the first list goes.
func follow(s *grounds.Grounds, was map[string]*fleet.Policy) {
	say(s, was)
	s.CompileDenials()
	revoke(s, was)
	s.Intend()
	s.Record()
	var floored []string
	tightened := false
	for name, said := range s.Policed.Said {
		if was[name] == said {
			continue
		}
		tightened = tightened || said.Tightening().Len() > 0
		for _, f := range said.Floors {
			floored = append(floored, f.Package)
		}
	}
	if len(floored) > 0 {
		s.Suspend(s.BelowFloors(floored...))
	}
	out, _ := s.DeniedLists(nil)
	s.Suspend(out)
	if tightened && !s.Rebuilding() {
		s.WithdrawUnknown()
	}
	s.Plan.Show = true
}

// revoke carries out revocations that are new, and lifts those that no policy says any
// more.
func revoke(s *grounds.Grounds, was map[string]*fleet.Policy) {
	now := s.Now()
	var fresh []string
	changed := false
	for _, name := range slices.Sorted(maps.Keys(was)) {
		for _, r := range was[name].Revocations {
			k := s.Keys[r.Key]
			if k.Revoked == nil || k.Revoked.Source != view.PolicyOrigin(name) || says(s.Policed.Said[name], r.Key) {
				continue
			}
			k.Revoked = nil
			s.SetKey(k)
			s.Event(record.Event{Kind: audit.KindKeyRestored, Key: r.Key, Text: view.PolicyOrigin(name) + " revokes it no more"})
			changed = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Policed.Said)) {
		for _, r := range s.Policed.Said[name].Revocations {
			if s.Note(r.Key, record.KeyRevocation{Source: view.PolicyOrigin(name), Hard: true, Act: record.Act{Reason: r.Reason, When: now}}, now) {
				fresh, changed = append(fresh, r.Key), true
			}
		}
	}
	s.Intend()
	for _, key := range fresh {
		s.CarryOut(key)
	}
	if changed {
		s.Rekey()
		s.WithdrawRefused(false)
	}
}

func says(p *fleet.Policy, key string) bool {
	return p != nil && slices.ContainsFunc(p.Revocations, func(r fleet.Revocation) bool { return r.Key == key })
}

// Load takes over the policies that the index has. One that this release does not
// understand says nothing until its file is read again, and a problem names it.
func Load(s *grounds.Grounds, all map[string]record.Policy) {
	s.Policed = view.Policed{Policies: map[string]record.Policy{}, Said: map[string]*fleet.Policy{}}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		p := all[name]
		said, err := fleet.Parse(p.Text, p.Package == "")
		if err != nil {
			s.Problem("policy-unread", api.SeverityError, fmt.Sprintf("what the policy %s said is not in force, for this digestd cannot read it: %v", name, err),
				"install a release of its package that this digestd can read")
			p.Digest = record.Digest{} // the file is read again
			said = &fleet.Policy{}
		}
		if !p.Gone.IsZero() {
			said = said.Tightening()
		}
		s.Policed.Policies[name], s.Policed.Said[name] = p, said
	}
	say(s, nil)
}
