// SPDX-License-Identifier: Apache-2.0

package query

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store/record"
)

// Policies returns the policies in force and the files that do not count, by name, without
// their rules.
func (q *Query) Policies(context.Context) ([]api.Policy, error) {
	snap := q.Snapshot()
	var all []api.Policy
	for name := range snap.Policies {
		all = append(all, describePolicy(&snap.Policed, name))
	}
	for name := range snap.Unheard {
		if _, known := snap.Policies[name]; !known {
			all = append(all, describePolicy(&snap.Policed, name))
		}
	}
	slices.SortFunc(all, func(a, b api.Policy) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

// countPolicies counts policy files by what became of them.
func countPolicies(s *view.Policed) (n api.PolicyCounts) {
	for name, r := range s.Policies {
		switch {
		case !r.Gone.IsZero():
			n.Lapsed++
			continue
		case r.Package != "":
			n.Packaged++
		}
		n.InForce++
		if _, refused := s.Unheard[name]; refused || r.Why != "" {
			n.Refused++
		}
	}
	for name, u := range s.Unheard {
		if r, known := s.Policies[name]; !u.Expected && (!known || !r.Gone.IsZero()) {
			n.Refused++
		}
	}
	return n
}

// oldestMetadata is that of the repositories with security advisories: others may well not
// change for years.
func oldestMetadata(a view.Advice) (oldest api.Metadata) {
	for _, o := range a.Origins {
		name := strings.TrimPrefix(o.Name, record.OriginAdvisory)
		if o.Security == 0 || o.Made.IsZero() {
			continue
		}
		if oldest.Made.IsZero() || o.Made.Before(oldest.Made) || o.Made.Equal(oldest.Made) && name < oldest.Repository {
			oldest = api.Metadata{Repository: name, Made: o.Made}
		}
	}
	return oldest
}

// Policy returns one policy with its rules. The error is [api.NotFound] if there is none of
// that name.
func (q *Query) Policy(_ context.Context, name string) (api.Policy, error) {
	snap := q.Snapshot()
	p := describePolicy(&snap.Policed, name)
	if p.State == "" {
		return p, &api.Error{Code: api.NotFound, Message: fmt.Sprintf("there is no policy %q", name), Advice: "see digestctl policy show"}
	}
	if said := snap.Said[name]; said != nil {
		for _, w := range said.Rules() {
			p.Rules = append(p.Rules, api.PolicyRule{Kind: w.Kind, What: w.What, Says: w.Says, Reason: w.Reason, Tightens: w.Tightens})
		}
	}
	return p, nil
}

// describePolicy describes a policy without its rules. Its state is "" if there is none.
func describePolicy(s *view.Policed, name string) api.Policy {
	p := api.Policy{Name: name}
	if r, known := s.Policies[name]; known {
		p = api.Policy{Name: name, State: api.PolicyInForce, Path: r.Path, Package: r.Package, Key: r.Key, Digest: r.Digest.String(),
			Since: r.Since, Effect: r.Effect, Gone: r.Gone, Why: r.Why, Description: s.Said[name].Description}
		if !r.Gone.IsZero() {
			p.State = api.PolicyLapsed
		}
	}
	if u, is := s.Unheard[name]; is {
		p.Path, p.Why = cmp.Or(p.Path, u.Path), api.Clean(u.Why)
		p.State = cmp.Or(p.State, api.PolicyIgnored)
	}
	return p
}
