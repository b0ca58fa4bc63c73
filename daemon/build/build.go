// SPDX-License-Identifier: Apache-2.0

// Package build turns headers of packages into signed lists in the staging directory.
//
// It verifies and composes, and decides about nothing: package ledger says whether a list
// that was made is published.
package build

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/identity"
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

// Builder turns package headers into lists. It is immutable; goroutines share it
// and bring their own stager and buffers.
type Builder struct {
	Format   string // digestlist.FormatTLV or FormatRPM
	Sign     string // pkcs7, pgp, none
	Mode     policy.Mode
	Unsigned policy.Unsigned
	Identity *identity.Identity
	Order    *view.Order // of the names of lists
}

// Workspace is the memory one goroutine builds lists in.
type Workspace struct {
	Stager  executor.Stager
	Denials *policy.Denials // what no list may hold
	Body    []byte
	out     []byte
}

// Examine reads what a header says of its package and what its signatures are
// worth. It fails only for a header that is no package's: malformed, or without
// an immutable region.
func (m *Builder) Examine(h *header.Header, sigs []header.Signature, keyring *pgp.Keyring, now time.Time) (*view.Candidate, error) {
	c, err := m.identify(h)
	if err != nil {
		return nil, err
	}
	c.Verification, err = m.verify(c, h, sigs, keyring, now)
	c.Hashed = nil
	return c, err
}

func (m *Builder) identify(h *header.Header) (*view.Candidate, error) {
	pkg, err := h.NEVRA()
	if err != nil {
		return nil, err
	}
	hashed, digest, err := h.Hashed()
	if err != nil {
		return nil, fmt.Errorf("cannot digest header of %s: %w", pkg, err)
	}
	c := &view.Candidate{Pkg: pkg, Header: digest, Hashed: hashed, Multi: h.MultiVersion()}
	c.Name, err = m.NameOf(pkg, c.Multi)
	return c, err
}

// NameOf returns the name that a package's list has.
func (m *Builder) NameOf(pkg nevra.NEVRA, multi bool) (string, error) {
	name, err := digestlist.PackageName(m.Format, pkg)
	if err == nil {
		name = m.Order.NameOf(name, pkg, multi)
	}
	return name, err
}

// verify reads of c only what identify found.
func (m *Builder) verify(c *view.Candidate, h *header.Header, sigs []header.Signature, keyring *pgp.Keyring, now time.Time) (v view.Verification, err error) {
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
	v.Vouch = policy.Vouch(m.Mode, m.Unsigned, c.Pkg, grounds.Outcome(err))
	return v, nil
}

// build writes the list of c into staging. A package that has no files, or
// whose digests nobody should trust, gets its reason instead.
func (m *Builder) build(c *view.Candidate, h *header.Header, w *Workspace) error {
	if err := m.Compose(c, h, w); err != nil {
		return err
	}
	return m.finish(c, w)
}

// finish signs and stages what compose made, if the package is vouched for.
func (m *Builder) finish(c *view.Candidate, w *Workspace) error {
	if c.None != nil && c.Vouch.Verdict != policy.Veto {
		c.Vouch = *c.None
	}
	if c.Vouch.Verdict != policy.Allow {
		return nil
	}
	if err := m.SignList(c, w); err != nil {
		return err
	}
	c.Sig = nil // part of a buffer that is not ours to keep
	return m.Stage(c, w)
}

// Compose makes the body of c's list in w.
func (m *Builder) Compose(c *view.Candidate, h *header.Header, w *Workspace) error {
	var err error
	switch m.Format {
	case digestlist.FormatRPM:
		var region []byte
		if region, err = h.Immutable(); err == nil {
			w.Body = digestlist.AppendRPM(w.Body[:0], region)
			c.Files, err = CountFiles(m.Format, w.Body)
		}
	default:
		w.Body, c.Files, err = digestlist.AppendPackageTLV(w.Body[:0], h)
	}
	if err == nil && c.Files == 0 {
		err = digestlist.ErrEmpty
	}
	switch {
	case errors.Is(err, digestlist.ErrEmpty):
		none := policy.NoFiles(c.Pkg)
		c.None = &none
		return nil
	case errors.Is(err, digestlist.ErrWeakDigest):
		none := policy.WeakDigests(c.Pkg, err.Error())
		c.None = &none
		return nil
	case err != nil:
		return fmt.Errorf("cannot make list of %s: %w", c.Pkg, err)
	}
	if c.Refs, err = executor.MakeRefs(m.Format, w.Body, c.Files); err == nil {
		err = m.omit(c, w)
	}
	if err != nil {
		return fmt.Errorf("cannot make list of %s: %w", c.Pkg, err)
	}
	c.Body = sha256.Sum256(w.Body)
	return nil
}

// SignList makes the whole list of c in w, from its body.
func (m *Builder) SignList(c *view.Candidate, w *Workspace) error {
	switch m.Sign {
	case ledger.SignNone:
		w.out = append(w.out[:0], w.Body...)
	case ledger.SignPGP:
		if len(c.Sig) == 0 {
			return fmt.Errorf("cannot make list of %s: it has no signature to pass on", c.Pkg)
		}
		w.out = digestlist.AppendSignature(w.out[:0], w.Body, c.Sig, digestlist.SigPGP)
	default:
		sig, wide, err := m.Identity.Sign(w.Body, c.Body)
		if err != nil {
			return fmt.Errorf("cannot sign list of %s: %w", c.Pkg, err)
		}
		w.out = digestlist.AppendSignature(w.out[:0], w.Body, sig, digestlist.SigPKCS7)
		c.Wide = wide
	}
	c.Signer = m.Signer()
	c.File = sha256.Sum256(w.out)
	return nil
}

func (m *Builder) Stage(c *view.Candidate, w *Workspace) (err error) {
	if c.Staged, err = w.Stager.Write(w.out); err != nil {
		return fmt.Errorf("cannot write list of %s: %w", c.Pkg, err)
	}
	return nil
}

// Make does what examine and build do. Before it does the work, consider may find
// that there is nothing to build. The list is composed while the package's signature is
// verified, which takes longer; nothing is signed before that is done.
func (m *Builder) Make(h *header.Header, sigs []header.Signature, keyring *pgp.Keyring, now time.Time, w *Workspace,
	consider func(*view.Candidate) (more bool, err error)) (*view.Candidate, error) {
	c, err := m.identify(h)
	if err != nil {
		return nil, err
	}
	more, err := consider(c)
	if err != nil {
		return c, err
	}
	composed := make(chan error, 1)
	if more {
		go func() { composed <- m.Compose(c, h, w) }()
	}
	// Each of the two reads of c what identify found, and writes fields of its own.
	c.Verification, err = m.verify(c, h, sigs, keyring, now)
	if !more {
		c.Hashed = nil
		return c, err
	}
	cerr := <-composed
	c.Hashed = nil
	if err != nil {
		return c, err
	}
	if cerr == nil {
		cerr = m.finish(c, w)
	}
	// Of a package that gets no list its files are kept, to say so of them.
	if cerr != nil && c.Vouch.Verdict == policy.Allow {
		return c, cerr
	}
	return c, nil
}

// Signer names the certificate that new lists are signed with, "" for none.
func (m *Builder) Signer() string {
	if m.Sign != "pkcs7" {
		return m.Sign
	}
	return m.Identity.SKI()
}

func CountFiles(format string, body []byte) (n int, err error) {
	err = digestlist.Walk(format, body, func(digestlist.Algo, []byte, []byte) error {
		n++
		return nil
	})
	return n, err
}
