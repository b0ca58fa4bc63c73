// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// listsByDenial counts the lists that each denial withholds or changes.
func (s *snapshot) listsByDenial() map[string]int {
	n := map[string]int{}
	for _, e := range s.entries {
		for _, id := range e.Denied {
			n[id]++
		}
	}
	return n
}

// denial describes one of the owner's denials.
func (s *snapshot) denial(id string) api.Denial { return s.describeDenial(id, s.listsByDenial()) }

func (s *snapshot) describeDenial(id string, lists map[string]int) api.Denial {
	p, _ := policyDenial(s.denied[id])
	out := s.describeRecord(id, s.denied[id], p)
	out.Lists = lists[id]
	return out
}

func (s *snapshot) describeForeign(p policy.Denial, lists map[string]int) api.Denial {
	r := recordOf(p, "", record.Act{})
	return api.Denial{ID: p.ID, What: p.Subject(), Digests: r.Digests, Package: r.Package, Arch: r.Arch, Below: r.Below, Exact: r.Exact,
		Reason: p.Reason, Ticket: p.Ticket, By: p.By, Expires: p.Expires, Foreign: true, Lists: lists[p.ID]}
}

// describePlan says what an import does, with the packages whose lists it would
// change now.
func (s *snapshot) describePlan(plan []planned) (r api.DenialImport) {
	r.Changes = []api.DenialChange{}
	affected := map[string]bool{}
	for _, p := range plan {
		switch p.action {
		case api.DenialAdded:
			r.Added++
		case api.DenialMerged:
			r.Merged++
		case api.DenialSame:
			r.Same++
		case api.DenialExpired:
			r.Expired++
		}
		c := api.DenialChange{Action: p.action, Denial: s.describeRecord(p.ID, p.record, p.Denial)}
		if p.action == api.DenialAdded || p.action == api.DenialMerged {
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

func (s *snapshot) describeRecord(id string, d record.Denial, p policy.Denial) api.Denial {
	return api.Denial{ID: id, What: p.Subject(), Digests: d.Digests, Path: d.Path, Package: d.Package, Arch: d.Arch, Below: d.Below,
		Exact: d.Exact, Reason: d.Reason, Ticket: d.Ticket, By: byOwner(d.UID), UID: d.UID, Since: d.When, Expires: d.Expires}
}

// affectedBy names the packages that have an active list with something of p.
func (s *snapshot) affectedBy(p policy.Denial) (packages []string) {
	for _, c := range p.Contents {
		for e := range s.lookup.withDigest(digestRef([]byte(c.Digest))) {
			if e.active() && e.refs.hasDigest(digestRef([]byte(c.Digest))) {
				packages = append(packages, e.Package.String())
			}
		}
	}
	for _, e := range s.entries {
		if len(p.Contents) == 0 && e.active() && p.Package.Has(e.Package) {
			packages = append(packages, e.Package.String())
		}
	}
	slices.Sort(packages)
	return slices.Compact(packages)
}

// explainDenied says that a file's content is denied, if it is.
func (s *snapshot) explainDenied(w *api.Why, sums fileSums) bool {
	for _, algo := range []digestlist.Algo{digestlist.SHA256, digestlist.SHA384, digestlist.SHA512} {
		sum := sums[algo]
		d := s.denials.Content(algo, sum)
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
func (s *snapshot) ownerOfDenied(w *api.Why) {
	for _, l := range w.Lists {
		if l.PathMatches {
			w.Owner, w.OwnerState = l.NEVRA, l.State
			return
		}
	}
	ref := pathRef([]byte(w.RealPath))
	for e := range s.lookup.withPath(ref) {
		if e.refs.hasPath(ref) {
			w.Owner, w.OwnerState = e.Package.String(), string(e.State)
			return
		}
	}
	if e := s.list(w.Label); e != nil {
		w.Owner, w.OwnerState = e.Package.String(), string(e.State)
	}
}

// deniedBy returns the ID of the denial that withholds a list.
func (s *snapshot) deniedBy(list string) string {
	if e := s.list(list); e != nil && len(e.Denied) > 0 {
		return e.Denied[0]
	}
	return ""
}
