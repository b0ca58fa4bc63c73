// SPDX-License-Identifier: Apache-2.0

package view

import (
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// ListsByDenial counts the lists that each denial withholds or changes.
func (s *Snapshot) ListsByDenial() map[string]int {
	n := map[string]int{}
	for _, e := range s.Entries {
		for _, id := range e.Denied {
			n[id]++
		}
	}
	return n
}

// Denial describes one of the owner's denials.
func (s *Snapshot) Denial(id string) api.Denial { return s.DescribeDenial(id, s.ListsByDenial()) }

func (s *Snapshot) DescribeDenial(id string, lists map[string]int) api.Denial {
	p, _ := PolicyDenial(s.Denied[id])
	out := s.describeRecord(id, s.Denied[id], p)
	out.Lists = lists[id]
	return out
}

func (s *Snapshot) DescribeForeign(p policy.Denial, lists map[string]int) api.Denial {
	r := RecordOf(p, "", record.Act{})
	return api.Denial{ID: p.ID, What: p.Subject(), Digests: r.Digests, Package: r.Package, Arch: r.Arch, Below: r.Below, Exact: r.Exact,
		Reason: p.Reason, Ticket: p.Ticket, By: p.By, Expires: p.Expires, Foreign: true, Lists: lists[p.ID]}
}

// DescribePlan says what an import does, with the packages whose lists it would
// change now.
func (s *Snapshot) DescribePlan(plan []Planned) (r api.DenialImport) {
	r.Changes = []api.DenialChange{}
	affected := map[string]bool{}
	for _, p := range plan {
		switch p.Action {
		case api.DenialAdded:
			r.Added++
		case api.DenialMerged:
			r.Merged++
		case api.DenialSame:
			r.Same++
		case api.DenialExpired:
			r.Expired++
		}
		c := api.DenialChange{Action: p.Action, Denial: s.describeRecord(p.ID, p.Record, p.Denial)}
		if p.Action == api.DenialAdded || p.Action == api.DenialMerged {
			c.Packages = s.affectedBy(p.Denial)
		}
		for _, pkg := range c.Packages {
			affected[pkg] = true
		}
		if len(r.Changes) < api.MaxPage {
			r.Changes = append(r.Changes, c)
		}
	}
	r.Lists = len(affected)
	return r
}

func (s *Snapshot) describeRecord(id string, d record.Denial, p policy.Denial) api.Denial {
	return api.Denial{ID: id, What: p.Subject(), Digests: d.Digests, Path: d.Path, Package: d.Package, Arch: d.Arch, Below: d.Below,
		Exact: d.Exact, Reason: d.Reason, Ticket: d.Ticket, By: ByOwner(d.UID), UID: d.UID, Since: d.When, Expires: d.Expires}
}

// affectedBy names the packages that have an active list with something of p.
func (s *Snapshot) affectedBy(p policy.Denial) (packages []string) {
	for _, c := range p.Contents {
		for e := range s.Lookup.WithDigest(DigestRef([]byte(c.Digest))) {
			if e.Active() && e.Refs.HasDigest(DigestRef([]byte(c.Digest))) {
				packages = append(packages, e.Package.String())
			}
		}
	}
	for _, e := range s.Entries {
		if len(p.Contents) == 0 && e.Active() && p.Package.Has(e.Package) {
			packages = append(packages, e.Package.String())
		}
	}
	slices.Sort(packages)
	return slices.Compact(packages)
}

// ExplainDenied says that a file's content is denied, if it is.
func (s *Snapshot) ExplainDenied(w *api.Why, sums FileSums) bool {
	for _, algo := range []digestlist.Algo{digestlist.SHA256, digestlist.SHA384, digestlist.SHA512} {
		sum := sums[algo]
		d := s.Denials.Content(algo, sum)
		if d == nil {
			continue
		}
		w.Verdict, w.Algo, w.Digest = api.VerdictDenied, algo.String(), hex.EncodeToString(sum)
		w.Text = "not vouched for: its content is " + d.Because()
		w.Reasons = append(w.Reasons, fmt.Sprintf("denial %s names its content, %s", d.ID, d.Because()))
		w.Advice = d.Lift()
		w.Denial = d.ID
		s.ownerOfDenied(w)
		// Lists that would have the content elsewhere explain nothing.
		w.Lists = slices.DeleteFunc(w.Lists, func(l api.WhyList) bool { return !l.PathMatches })
		return true
	}
	return false
}

// ownerOfDenied finds the package of a file that no list includes any more.
func (s *Snapshot) ownerOfDenied(w *api.Why) {
	for _, l := range w.Lists {
		if l.PathMatches {
			w.Owner, w.OwnerState = l.NEVRA, l.State
			return
		}
	}
	ref := PathRef([]byte(w.RealPath))
	for e := range s.Lookup.WithPath(ref) {
		if e.Refs.HasPath(ref) {
			w.Owner, w.OwnerState = e.Package.String(), string(e.State)
			return
		}
	}
	if e := s.List(w.Label); e != nil {
		w.Owner, w.OwnerState = e.Package.String(), string(e.State)
	}
}

// DeniedBy returns the ID of the denial that withholds a list.
func (s *Snapshot) DeniedBy(list string) string {
	if e := s.List(list); e != nil && len(e.Denied) > 0 {
		return e.Denied[0]
	}
	return ""
}
