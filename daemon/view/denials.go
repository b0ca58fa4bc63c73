// SPDX-License-Identifier: Apache-2.0

package view

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/digestd/digestd/daemon/api"
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
		err = fmt.Errorf("%.80q is no digest", d.Digests[0])
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
		return "", &api.Error{Code: api.InvalidArgument, Message: what + " was not said here, but by " + d.By, Advice: d.Lift()}
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
