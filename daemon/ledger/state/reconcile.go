// SPDX-License-Identifier: Apache-2.0

package state

import (
	"fmt"

	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/store/record"
)

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
