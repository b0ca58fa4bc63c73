// SPDX-License-Identifier: Apache-2.0

package build

import (
	"errors"
	"fmt"
	"time"

	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store/record"
)

// Recognise decides what to do for one header of rpm's database: it stages a list in w, or does
// nothing if standing has the list already. standing maps the digest of a header to its entry.
// The header is hostile input; the package of a malformed one gets no list, and Err explains
// why.
func (b *Builder) Recognise(blob []byte, standing map[record.Digest]*view.Entry, keyring *pgp.Keyring, now time.Time, w *Workspace) (p state.InstalledPackage) {
	if len(blob) == 0 {
		p.Err = errors.New("its header in rpm's database is damaged, empty or too large")
		return p
	}
	h, err := header.Parse(blob)
	if err == nil {
		p.Pkg, err = h.NEVRA()
	}
	if err != nil {
		p.Pkg, p.Err = nevra.NEVRA{}, fmt.Errorf("cannot read its header in rpm's database: %w", err)
		return p
	}
	if p.Pkg.Name == policy.KeyName {
		return p
	}
	digest, err := h.Digest()
	if err != nil {
		p.Err = err
		return p
	}
	p.Header = digest
	if p.Moved, err = h.Relocations(); err != nil {
		p.Err = err
		return p
	}
	if e := standing[p.Header]; e != nil && b.suits(e, h) {
		return p
	}
	c, err := b.Examine(h, h.Signatures(), keyring, now)
	if err == nil {
		err = b.build(c, h, w)
	}
	if err != nil {
		p.Err = err
		return p
	}
	p.Fresh = c
	return p
}

// suits reports whether e is a list of the kind that b makes.
func (b *Builder) suits(e *view.Entry, h *header.Header) bool {
	name, err := b.NameOf(e.Package, h.MultiVersion())
	return err == nil && name == e.Name
}
