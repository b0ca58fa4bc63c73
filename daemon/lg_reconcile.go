// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"

	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// installedPackage is one package of rpm's database, as reconciliation saw it.
type installedPackage struct {
	pkg    nevra.NEVRA
	header record.Digest
	fresh  *view.Candidate // nil when its list stands already
	err    error
	moved  header.Relocations
	number uint32 // of a header that does not say what package it is
}

// String names the package as well as its header lets it be named.
func (p *installedPackage) String() string {
	switch {
	case p.number == 0:
		return p.pkg.String()
	case p.pkg.Name != "":
		return fmt.Sprintf("%s (header %d of rpm's database)", p.pkg.Name, p.number)
	}
	return fmt.Sprintf("header %d of rpm's database", p.number)
}

// standing lists the headers whose lists need no work: published by us as the
// configuration wants them now, vouched for by a key that is still trusted.
func (s *state) standing(signer string) map[record.Digest]*view.Entry {
	m := make(map[record.Digest]*view.Entry, len(s.byHeader))
	for digest, e := range s.byHeader {
		if e.Active() && !e.Broken && e.Grace == "" && e.Change == "" && e.Signer == signer && s.trusted(e) && s.allowed(e) && s.complete(e) {
			m[digest] = e
		}
	}
	return m
}

// allowed reports whether policy still lets an active list be: a floor may have
// risen above it, or the kernel come to name it.
func (s *state) allowed(e *view.Entry) bool {
	return s.bannedList(e) == "" && s.admit(e.Package, false).Verdict == policy.Allow
}
