// SPDX-License-Identifier: Apache-2.0

// Package build makes signed lists in the staging directory from headers of packages.
//
// It verifies headers and composes lists, and decides nothing: package ledger decides whether a
// list is published.
package build

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"strings"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/identity"
	"github.com/digestd/digestd/daemon/image"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store/record"
)

// Builder makes lists from package headers. It is immutable, so goroutines can share it; each
// brings its own stager and workspace.
type Builder struct {
	Format   string // digestlist.FormatTLV or FormatRPM
	Sign     string // ledger.SignPKCS7, SignPGP or SignNone
	Mode     policy.Mode
	Unsigned policy.Unsigned
	Identity *identity.Identity
	Order    *view.Order // of the names of lists
}

// Workspace is the memory in which one goroutine builds lists.
type Workspace struct {
	Stager  executor.Stager
	Denials *policy.Denials // contents that no list may have
	Image   *image.Lists    // lists of the image, whose signatures are used; nil: none
	Body    []byte
	out     []byte    // Body with its signature
	hashed  hash.Hash // the digest of what Digest has hashed
}

// Digest returns the digest of Body, and keeps it for [Builder.SignList].
func (w *Workspace) Digest() (sum record.Digest) {
	if w.hashed == nil {
		w.hashed = sha256.New()
	}
	w.hashed.Reset()
	w.hashed.Write(w.Body)
	w.hashed.Sum(sum[:0])
	return sum
}

// Examine reads the package's facts from a header and verifies its signatures. It fails only if
// the header is not one of a package: malformed, or without an immutable region.
func (b *Builder) Examine(h *header.Header, sigs []header.Signature, keyring *pgp.Keyring, now time.Time) (*view.Candidate, error) {
	c, err := b.identify(h)
	if err != nil {
		return nil, err
	}
	c.Verification, err = b.verify(c, h, sigs, keyring, now)
	c.Hashed = nil
	return c, err
}

func (b *Builder) identify(h *header.Header) (*view.Candidate, error) {
	pkg, err := h.NEVRA()
	if err != nil {
		return nil, err
	}
	hashed, digest, err := h.Hashed()
	if err != nil {
		return nil, fmt.Errorf("cannot digest header of %s: %w", pkg, err)
	}
	c := &view.Candidate{Pkg: pkg, Header: digest, Hashed: hashed, Multi: h.MultiVersion(), Module: moduleOf(h)}
	c.Name, err = b.NameOf(pkg, c.Multi)
	return c, err
}

// moduleOf returns the module stream that a header names, as "name:stream", or "" if it names
// none.
func moduleOf(h *header.Header) string {
	const most = 256
	label, err := h.String(header.TagModularity)
	parts := strings.SplitN(label, ":", 3)
	if err != nil || len(parts) < 2 || len(parts[0])+len(parts[1]) > most {
		return ""
	}
	return api.Clean(parts[0] + ":" + parts[1])
}

// NameOf returns the name of a package's list, with its sequence number if it has one. multi
// reports that the package declares that several of its versions may be installed.
func (b *Builder) NameOf(pkg nevra.NEVRA, multi bool) (string, error) {
	name, err := digestlist.PackageName(b.Format, pkg)
	if err == nil {
		name = b.Order.NameOf(name, pkg, multi)
	}
	return name, err
}

// verify reads only those fields of c that identify has set.
func (b *Builder) verify(c *view.Candidate, h *header.Header, sigs []header.Signature, keyring *pgp.Keyring, now time.Time) (v view.Verification, err error) {
	region, err := h.Immutable()
	if err != nil {
		return v, fmt.Errorf("cannot read header of %s: %w", c.Pkg, err)
	}
	result, err := keyring.VerifyHashed(region, c.Hashed, sigs, now)
	if err == nil {
		v.Key, v.Sig, v.Held = result.Cert, sigs[result.Index].Data, result.Held
		v.Signature = &record.Signature{Key: result.KeyFingerprint, Made: result.Created, Ends: result.Ends}
	}
	if future := new(pgp.FutureError); errors.As(err, &future) {
		v.From = future.From
	}
	v.Vouch = policy.Vouch(b.Mode, b.Unsigned, c.Pkg, grounds.Outcome(err))
	return v, nil
}

// Signer names the certificate that signs new lists of packages by its subject key identifier.
// If lists are not signed by a certificate, it names the method.
func (b *Builder) Signer() string {
	if b.Sign != ledger.SignPKCS7 {
		return b.Sign
	}
	return b.Identity.SKI()
}

// OwnSigner is [Builder.Signer] for own lists, which the machine also signs if packages carry
// their own signatures. The policy treats an own list as the package "own:NAME", a name that no
// real package can have, with its counter as the version.
func (b *Builder) OwnSigner() string {
	if b.Sign == ledger.SignNone {
		return b.Sign
	}
	return b.Identity.SKI()
}
