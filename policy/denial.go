// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/nevra"
)

// Denial forbids one content, or versions of a package, regardless of their signatures. It names
// contents or a package, never both.
type Denial struct {
	ID       string
	Contents []Content // one content, by one algorithm or several
	Package  Range
	By       string // who denied it, for people
	Reason   string
	Ticket   string    // for example a CVE
	Expires  time.Time // zero: never
	Foreign  bool      // made elsewhere, so it cannot be lifted here
}

// Content identifies a file's content by its digest.
type Content struct {
	Algo   digestlist.Algo
	Digest string // raw
}

// String returns "algorithm:hexadecimal digits".
func (c Content) String() string { return fmt.Sprintf("%s:%x", c.Algo, c.Digest) }

// Range is a set of versions of a package: all, those below one, or one.
type Range struct {
	Name  string
	Arch  string    // "" for every architecture
	Below nevra.EVR // all versions below it; without a release, of every release
	Exact nevra.EVR
	// AnyEpoch means that Below or Exact was given without an epoch while no version of the
	// package was known: it matches every epoch.
	AnyEpoch bool
}

// IsZero reports whether r names no package.
func (r Range) IsZero() bool { return r == Range{} }

// Has reports whether pkg is in r.
func (r Range) Has(pkg nevra.NEVRA) bool {
	switch {
	case r.Name != pkg.Name || r.Arch != "" && r.Arch != pkg.Arch:
		return false
	case !r.Exact.IsZero() && r.AnyEpoch:
		pkg.Epoch = r.Exact.Epoch
		return nevra.Compare(pkg.EVR, r.Exact) == 0
	case !r.Exact.IsZero():
		return nevra.Compare(pkg.EVR, r.Exact) == 0
	case !r.Below.IsZero():
		e := pkg.EVR
		if r.AnyEpoch {
			e.Epoch = r.Below.Epoch
		}
		if r.Below.Release == "" {
			e.Release = "" // as in rpm's dependencies
		}
		return nevra.Compare(e, r.Below) < 0
	}
	return true
}

// String returns r in the form that [ParseSubject] reads.
func (r Range) String() string {
	if !r.Exact.IsZero() {
		return nevra.NEVRA{Name: r.Name, EVR: r.Exact, Arch: r.Arch}.String()
	}
	s := r.Name
	if r.Arch != "" {
		s += "." + r.Arch
	}
	if !r.Below.IsZero() {
		s += "<" + strings.TrimSuffix(short(r.Below), "-")
	}
	return s
}

// Subject names the denied content or package, for people.
func (d Denial) Subject() string {
	if len(d.Contents) > 0 {
		return d.Contents[0].String()
	}
	return d.Package.String()
}

// Because names who denied it and the reason.
func (d Denial) Because() string {
	s := "denied"
	if d.By != "" {
		s += " by " + d.By
	}
	if d.Reason != "" {
		s += " because " + d.Reason
	}
	if d.Ticket != "" {
		s += " (" + d.Ticket + ")"
	}
	return s
}

// Lift names the command that lifts the denial.
func (d Denial) Lift() string {
	if name, is := strings.CutPrefix(d.By, "policy:"); is && d.Foreign {
		return "see digestctl policy show " + name
	}
	if d.Foreign {
		return "only " + d.By + " can lift that"
	}
	return "to lift that: digestctl deny lift " + d.ID + " --reason WHY"
}

// denied returns the decision about a denied package. It has a list in no mode; mode Enforce
// also keeps the package itself out.
func denied(m Mode, pkg nevra.NEVRA, d Denial) Decision {
	verdict := WithholdList
	if m == Enforce {
		verdict = Veto
	}
	text := fmt.Sprintf("%s is %s", pkg, d.Because())
	if !d.Package.Below.IsZero() {
		text = fmt.Sprintf("%s is below %s, and so %s", pkg, strings.TrimSuffix(short(d.Package.Below), "-"), d.Because())
	}
	return Decision{Verdict: verdict, Reason: ReasonDenied, Denial: d.ID, Text: text + "; " + d.Lift()}
}

// Emptied returns the decision about a package whose contents are all denied, or whose list
// cannot be made without a denied one; why says which.
func Emptied(pkg nevra.NEVRA, d Denial, why string) Decision {
	return Decision{Verdict: WithholdList, Reason: ReasonDenied, Denial: d.ID,
		Text: fmt.Sprintf("%s: %s: %s; %s", pkg, why, d.Because(), d.Lift())}
}

// Denials are the denials in force at a time. They are immutable; nil has none.
type Denials struct {
	contents map[Content]*Denial
	heads    []uint64 // first bytes of the digests, sorted
	packages map[string][]Denial
	byID     map[string]*Denial
	next     time.Time
	wide     bool
}

// NewDenials returns the denials of list that have not expired at now. Of several with the same
// subject, the first counts.
func NewDenials(list []Denial, now time.Time) *Denials {
	s := &Denials{contents: map[Content]*Denial{}, packages: map[string][]Denial{}, byID: map[string]*Denial{}}
	for i := range list {
		d := list[i]
		if d.Expired(now) {
			continue
		}
		if !d.Expires.IsZero() && (s.next.IsZero() || d.Expires.Before(s.next)) {
			s.next = d.Expires
		}
		s.byID[d.ID] = &d
		narrow := slices.ContainsFunc(d.Contents, func(c Content) bool { return c.Algo == digestlist.SHA256 })
		s.wide = s.wide || len(d.Contents) > 0 && !narrow
		for _, c := range d.Contents {
			if s.contents[c] == nil {
				s.contents[c] = &d
				s.heads = append(s.heads, Head([]byte(c.Digest)))
			}
		}
		if !d.Package.IsZero() {
			s.packages[d.Package.Name] = append(s.packages[d.Package.Name], d)
		}
	}
	slices.Sort(s.heads)
	return s
}

// Expired reports whether d has ended by now.
func (d Denial) Expired(now time.Time) bool { return !d.Expires.IsZero() && !now.Before(d.Expires) }

// Head returns the first bytes of a digest, which serve for a quick search.
func Head(digest []byte) uint64 {
	if len(digest) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(digest)
}

// Content returns the denial of a content, nil if there is none.
func (s *Denials) Content(algo digestlist.Algo, digest []byte) *Denial {
	if s == nil || len(s.contents) == 0 {
		return nil
	}
	return s.contents[Content{algo, string(digest)}]
}

// Heads returns the heads of all denied digests, sorted. Callers must not change the slice.
func (s *Denials) Heads() []uint64 {
	if s == nil {
		return nil
	}
	return s.heads
}

// Wide reports whether a content is denied by digests other than SHA-256 alone, so that a check
// needs all digests of a file.
func (s *Denials) Wide() bool { return s != nil && s.wide }

// Of returns the denials of versions of the package with that name, for a [Line].
func (s *Denials) Of(name string) []Denial {
	if s == nil {
		return nil
	}
	return s.packages[name]
}

// Package returns the denial of pkg, nil if there is none.
func (s *Denials) Package(pkg nevra.NEVRA) *Denial {
	list := s.Of(pkg.Name)
	if i := slices.IndexFunc(list, func(d Denial) bool { return d.Package.Has(pkg) }); i >= 0 {
		return &list[i]
	}
	return nil
}

// ByID returns the denial with that ID, nil if none is in force.
func (s *Denials) ByID(id string) *Denial {
	if s == nil {
		return nil
	}
	return s.byID[id]
}

// Next returns the time when the next denial expires, zero for never.
func (s *Denials) Next() time.Time {
	if s == nil {
		return time.Time{}
	}
	return s.next
}

// Same reports whether d and other have the same subject: a digest in common, or the same
// versions.
func (d Denial) Same(other Denial) bool {
	if len(d.Contents) == 0 || len(other.Contents) == 0 {
		a, b := d.Package, other.Package
		if a.AnyEpoch || b.AnyEpoch { // from before a version was known
			a.AnyEpoch, b.AnyEpoch, a.Below.Epoch, a.Exact.Epoch = false, false, b.Below.Epoch, b.Exact.Epoch
		}
		return len(d.Contents) == len(other.Contents) && a == b
	}
	return slices.ContainsFunc(d.Contents, func(c Content) bool { return slices.Contains(other.Contents, c) })
}

// Merge combines d, which exists, with another denial of the same subject from elsewhere. The
// result lasts as long as the longer one and keeps both tickets.
func (d Denial) Merge(other Denial) Denial {
	d.Contents = sortedContents(append(slices.Clone(d.Contents), other.Contents...))
	d.Reason = cmp.Or(d.Reason, other.Reason)
	const sep = ", "
	for ticket := range strings.SplitSeq(other.Ticket, sep) {
		switch {
		case ticket == "" || slices.Contains(strings.Split(d.Ticket, sep), ticket):
		case d.Ticket == "":
			d.Ticket = ticket
		case len(d.Ticket)+len(sep)+len(ticket) <= MaxTicket:
			d.Ticket += sep + ticket
		}
	}
	if d.Expires.IsZero() || other.Expires.IsZero() {
		d.Expires = time.Time{}
	} else if other.Expires.After(d.Expires) {
		d.Expires = other.Expires
	}
	return d
}

func sortedContents(contents []Content) []Content {
	slices.SortFunc(contents, func(a, b Content) int {
		return cmp.Or(cmp.Compare(a.Algo, b.Algo), cmp.Compare(a.Digest, b.Digest))
	})
	return slices.Compact(contents)
}

// Find returns a denial of a content for whose head chosen is true, nil if there is none.
func (s *Denials) Find(chosen func(head uint64) bool) *Denial {
	if s == nil {
		return nil
	}
	for c, d := range s.contents {
		if chosen(Head([]byte(c.Digest))) {
			return d
		}
	}
	return nil
}

// Foreign returns the denials that were made elsewhere.
func (s *Denials) Foreign() (list []Denial) {
	if s == nil {
		return nil
	}
	for _, d := range s.byID {
		if d.Foreign {
			list = append(list, *d)
		}
	}
	return list
}
