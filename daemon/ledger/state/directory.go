// SPDX-License-Identifier: Apache-2.0

package state

import (
	"fmt"

	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/store/record"
)

// Expected is a name in the list directory that is to be looked at.
type Expected struct {
	Name  string
	Entry *view.Entry // what is to be there; nil: nothing of ours
}

// Seen is what was found under a name. Of a file that bears the stamp it was published
// with nothing is read.
type Seen struct {
	Expected
	Stamp   record.Stamp
	Missing bool
	Err     error  // it could not be looked at
	Read    error  // of a regular file: the system failed to read it
	Odd     string // why what was read can be no list
	File    record.Digest
	Body    record.Digest
	Refs    *view.Refs // of the list that was expected, if they were not known
	Torn    bool       // it is what a loss of power leaves
	Signed  bool       // by a certificate of ours
	Size    int64      // in bytes, of a directory with all in it; counted no further than the quarantine has room
}

// PathChecked notes whether the list directory is the one that was opened.
func (s *State) PathChecked(err error) {
	if err != nil {
		s.Tampered(s.ListDir, record.Digest{}, err.Error())
		s.Problem("directory", "error", err.Error(), "put the directory back, then: systemctl restart digestd")
	}
}

// InstalledPackage is one package of rpm's database, as reconciliation saw it.
type InstalledPackage struct {
	Pkg    nevra.NEVRA
	Header record.Digest
	Fresh  *view.Candidate // nil when its list stands already
	Err    error
	Moved  header.Relocations
	Number uint32 // of a header that does not say what package it is
}

// String names the package as well as its header lets it be named.
func (p *InstalledPackage) String() string {
	switch {
	case p.Number == 0:
		return p.Pkg.String()
	case p.Pkg.Name != "":
		return fmt.Sprintf("%s (header %d of rpm's database)", p.Pkg.Name, p.Number)
	}
	return fmt.Sprintf("header %d of rpm's database", p.Number)
}
