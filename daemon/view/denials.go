// SPDX-License-Identifier: Apache-2.0

package view

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// ByOwner names who said so among the owner's people.
func ByOwner(uid uint32) string {
	if uid == 0 {
		return "root"
	}
	return fmt.Sprintf("uid %d", uid)
}

// PolicyDenial is a record as package policy sees it.
func PolicyDenial(d record.Denial) (p policy.Denial, err error) {
	p = policy.Denial{ID: d.ID, By: ByOwner(d.UID), Reason: d.Reason, Ticket: d.Ticket, Expires: d.Expires}
	if len(d.Digests) == 0 {
		p.Package, err = policy.RangeOf(d.Package, d.Arch, d.Below, d.Exact)
		return p, err
	}
	if d.Package != "" || d.Arch != "" || d.Below != "" || d.Exact != "" {
		return p, fmt.Errorf("both digests and a package")
	}
	p.Contents, err = policy.ParseContents(strings.Join(d.Digests, ","))
	if err == nil && p.Contents == nil {
		err = fmt.Errorf("%.80q is not a digest", d.Digests[0])
	}
	return p, err
}

// RecordOf is the record of what policy made of a denial.
func RecordOf(p policy.Denial, path string, a record.Act) record.Denial {
	d := record.Denial{ID: p.ID, Path: path, Package: p.Package.Name, Arch: p.Package.Arch, Below: policy.BoundText(p.Package.Below),
		Exact: p.Package.Exact.String(), Ticket: p.Ticket, Expires: p.Expires, Act: a}
	if p.Package.AnyEpoch {
		d.Below, d.Exact = strings.TrimPrefix(d.Below, "0:"), strings.TrimPrefix(d.Exact, "0:")
	}
	d.Reason = p.Reason
	for _, c := range p.Contents {
		d.Digests = append(d.Digests, c.String())
	}
	return d
}

// NewDenialID makes the name of a denial from what it is about, so that it is the
// same on every machine.
func NewDenialID(subject string, taken map[string]record.Denial) string {
	sum := sha256.Sum256([]byte(subject))
	digits := hex.EncodeToString(sum[:])
	for n := 10; ; n += 2 {
		if id := "d-" + digits[:n]; n == len(digits) || taken[id].ID == "" {
			return id
		}
	}
}

// KnownName reports whether a package of that name was ever seen here.
func (s *Snapshot) KnownName(name string) bool {
	for id := range s.Lines {
		if id.Name == name {
			return true
		}
	}
	return slices.ContainsFunc(s.Entries, func(e *Entry) bool { return e.Package.Name == name })
}

func NoDenial(what string) error {
	return &api.Error{Code: api.NotFound, Message: fmt.Sprintf("%q is not denied here", what), Advice: "see digestctl deny list"}
}

// FindDenial finds one by its ID, by the path it was found at, or by what it is
// about.
func (s *Snapshot) FindDenial(what string) (string, error) {
	if s.Denied[what].ID != "" {
		return what, nil
	}
	if d := s.Denials.ByID(what); d != nil {
		return "", &api.Error{Code: api.InvalidArgument, Message: what + " was not made here, but by " + d.By, Advice: d.Lift()}
	}
	var found []string
	p, err := policy.ParseSubject(what, s.KnownName)
	if err == nil {
		err = s.ResolveRange(&p.Package, what)
	}
	for id, d := range s.Denied {
		q, bad := PolicyDenial(d)
		if d.Path != "" && d.Path == what || err == nil && bad == nil && (q.Same(p) || q.Subject() == what) {
			found = append(found, id)
		}
	}
	slices.Sort(found)
	switch len(found) {
	case 0:
		return "", NoDenial(what)
	case 1:
		return found[0], nil
	}
	return "", api.Errorf(api.InvalidArgument, "%q is denied more than once: give one of %s", what, strings.Join(found, ", "))
}

// Planned is what an import does about one denial.
type Planned struct {
	Action string
	policy.Denial
	Record record.Denial
}

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
