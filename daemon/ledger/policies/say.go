// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"maps"

	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/policy/fleet"
	"github.com/digestd/digestd/store/record"
)

// say has floors and denials be what the policies in force say. was are the names of those
// that were.
func say(s *grounds.Grounds, was map[string]*fleet.Policy) {
	for name := range was {
		if s.Policed.Said[name] == nil {
			set(s, record.Policy{Name: name}, &fleet.Policy{})
		}
	}
	for name, said := range s.Policed.Said { // all: other packages may be protected now
		set(s, s.Policed.Policies[name], said)
	}
}

// set sets the floors and denials of a policy. Active lists of protected packages stay,
// regardless of the floors of policies.
func set(s *grounds.Grounds, p record.Policy, said *fleet.Policy) {
	origin := view.PolicyOrigin(p.Name)
	floors := make([]policy.OriginFloor, len(said.Floors))
	for i, f := range said.Floors {
		floors[i] = policy.OriginFloor{Package: f.Package, Arch: f.Arch, EVR: f.EVR, Origin: origin, Strength: view.PolicyStrength(p),
			Reason: f.Reason, Since: p.Since, Keep: s.Policed.Protects(f.Package)}
	}
	s.SetFloorsOf(origin, floors)
	others := maps.Clone(s.Others)
	if others == nil {
		others = map[string][]policy.Denial{}
	}
	delete(others, origin)
	if len(said.Denials) > 0 {
		denials := make([]policy.Denial, len(said.Denials))
		for i, d := range said.Denials {
			d.By, d.Foreign, d.ID = origin, true, view.NewDenialID(origin+" "+d.Subject(), nil)
			denials[i] = d
		}
		others[origin] = denials
	}
	s.Others = others
}

// put records a policy; said is what is in force of it.
func put(s *grounds.Grounds, p record.Policy, said *fleet.Policy) {
	unshare(s)
	s.Policed.Policies[p.Name], s.Policed.Said[p.Name] = p, said
	s.Queue.Batch.PutPolicy(p)
}

// drop forgets a policy.
func drop(s *grounds.Grounds, name string) {
	unshare(s)
	delete(s.Policed.Policies, name)
	delete(s.Policed.Said, name)
	s.Queue.Batch.DeletePolicy(name)
}

// unshare copies what snapshots, and an event that may be taken back, share.
func unshare(s *grounds.Grounds) {
	p := &s.Policed
	p.Policies, p.Said = maps.Clone(p.Policies), maps.Clone(p.Said)
	if p.Policies == nil {
		p.Policies, p.Said = map[string]record.Policy{}, map[string]*fleet.Policy{}
	}
}
