// SPDX-License-Identifier: Apache-2.0

package build

import (
	"errors"
	"fmt"
	"time"

	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store/record"
)

// build stages the list of c if the package is vouched for. A package without files, or with
// digests that cannot be trusted, gets a reason instead.
func (b *Builder) build(c *view.Candidate, h *header.Header, w *Workspace) error {
	if err := b.Compose(c, h, w); err != nil {
		return err
	}
	if c.None != nil && c.Vouch.Verdict != policy.Veto {
		c.Vouch = *c.None
	}
	if c.Vouch.Verdict != policy.Allow {
		return nil
	}
	if err := b.SignList(c, w); err != nil {
		return err
	}
	c.Sig = nil // aliases a buffer that others reuse
	return b.Stage(c, w)
}

// Compose makes the body of c's list in w, without denied contents, and describes it in c. If
// there is nothing to make, c.None has the reason.
func (b *Builder) Compose(c *view.Candidate, h *header.Header, w *Workspace) error {
	var err error
	switch b.Format {
	case digestlist.FormatRPM:
		var region []byte
		if region, err = h.Immutable(); err == nil {
			w.Body = digestlist.AppendRPM(w.Body[:0], region)
			c.Files, err = CountFiles(b.Format, w.Body)
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
	c.Largest = h.LargestFile()
	if c.Refs, err = executor.MakeRefs(b.Format, w.Body, c.Files); err == nil {
		err = b.omit(c, w)
	}
	if err != nil {
		return fmt.Errorf("cannot make list of %s: %w", c.Pkg, err)
	}
	c.Body = w.Digest()
	return nil
}

// SignList makes the complete list of c in w from its body there, and names the signer in c. A
// list that the image has keeps its signature. SignList fails if the key cannot be used, or if
// the package has no signature to use.
func (b *Builder) SignList(c *view.Candidate, w *Workspace) error {
	if b.Sign == ledger.SignPKCS7 {
		if l, found := w.Image.Find(c.Name, w.Body); found {
			w.out, c.Wide, c.Signer, c.File = append(w.out[:0], l.File...), l.Wide, l.Signer, l.Digest()
			return nil
		}
	}
	switch b.Sign {
	case ledger.SignNone:
		w.out = append(w.out[:0], w.Body...)
	case ledger.SignPGP:
		if len(c.Sig) == 0 {
			return fmt.Errorf("cannot make list of %s: it has no signature to pass on", c.Pkg)
		}
		w.out = digestlist.AppendSignature(w.out[:0], w.Body, c.Sig, digestlist.SigPGP)
	default:
		sig, wide, err := b.Identity.Sign(w.Body, c.Body)
		if err != nil {
			return fmt.Errorf("cannot sign list of %s: %w", c.Pkg, err)
		}
		w.out = digestlist.AppendSignature(w.out[:0], w.Body, sig, digestlist.SigPKCS7)
		c.Wide = wide
	}
	c.Signer = b.Signer()
	if w.hashed == nil || record.Digest(w.hashed.Sum(nil)) != c.Body {
		w.Digest()
	}
	w.hashed.Write(w.out[len(w.Body):])
	w.hashed.Sum(c.File[:0])
	return nil
}

// Stage writes the list that SignList made into staging, and notes its place in c.
func (b *Builder) Stage(c *view.Candidate, w *Workspace) (err error) {
	if c.Staged, err = w.Stager.Write(w.out); err != nil {
		return fmt.Errorf("cannot write list of %s: %w", c.Pkg, err)
	}
	return nil
}

// Make combines Examine and build. In between it calls consider, which may find that there is
// nothing to build. The steps run one after the other: waking another processor takes as long as
// most steps, and other headers need that processor.
func (b *Builder) Make(h *header.Header, sigs []header.Signature, keyring *pgp.Keyring, now time.Time, w *Workspace,
	consider func(*view.Candidate) (more bool, err error)) (*view.Candidate, error) {
	c, err := b.identify(h)
	if err != nil {
		return nil, err
	}
	more, err := consider(c)
	if err != nil {
		return c, err
	}
	c.Verification, err = b.verify(c, h, sigs, keyring, now)
	c.Hashed = nil
	if err != nil || !more {
		return c, err
	}
	// The files of a package without a list are kept, so that answers can name the package.
	if err := b.build(c, h, w); err != nil && c.Vouch.Verdict == policy.Allow {
		return c, err
	}
	return c, nil
}

// CountFiles returns the number of files in the body of a list of that format. It fails if the
// body is malformed.
func CountFiles(format string, body []byte) (n int, err error) {
	err = digestlist.Walk(format, body, func(digestlist.Algo, []byte, []byte) error {
		n++
		return nil
	})
	return n, err
}
