// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/kernel"
	"github.com/digestd/digestd/rpmdb"
	"github.com/digestd/digestd/store"
)

// metaSigned is set in the index while files may bear signatures of ours.
const metaSigned = "ima-signatures"

// signBudget bounds how long a package manager waits for the signatures of one
// package's files; what is left then is signed when the transaction is over.
const signBudget = 3 * time.Second

// executable reports whether a kernel may run or load the file: what is marked so,
// and what libraries and kernel modules are called.
func executable(f header.File) bool {
	if !f.Regular() || f.Ghost() || len(f.Digest) == 0 {
		return false
	}
	if f.Mode&0o111 != 0 {
		return true
	}
	base := string(f.Base)
	for _, packed := range []string{".gz", ".xz", ".zst"} {
		if module, ok := strings.CutSuffix(base, packed); ok && path.Ext(module) == ".ko" {
			return true
		}
	}
	return strings.HasSuffix(base, ".ko") || strings.HasSuffix(base, ".so") || strings.Contains(base, ".so.")
}

// imaSignature signs a file's SHA-256 by the machine's key.
func (id *identity) imaSignature(digest []byte) ([]byte, error) {
	sig, err := id.key.Sign(rand.Reader, digest, crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("cannot sign file: %w", err)
	}
	return kernel.IMASignature{Hash: uint8(digestlist.SHA256), KeyID: keyID(id.cert.SubjectKeyId), Signature: sig}.Value(), nil
}

// keyID is how signatures on files name a certificate.
func keyID(ski []byte) (id [4]byte) {
	copy(id[:], ski[max(0, len(ski)-4):])
	return id
}

// signed reports whether value is id's signature over that digest.
func (id *identity) signed(value, digest []byte) bool {
	s, err := kernel.ParseIMASignature(value)
	if err != nil || s.Hash != uint8(digestlist.SHA256) || s.KeyID != keyID(id.cert.SubjectKeyId) {
		return false
	}
	switch key := id.key.Public().(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(key, digest, s.Signature)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest, s.Signature) == nil
	}
	return false
}

// vouched reads which digest an active list has for each path.
func (d *Daemon) vouched(e *entry) (map[string]string, error) {
	files := make(map[string]string, e.Files)
	err := d.eachFile(e, func(algo digestlist.Algo, digest, path []byte) error {
		if algo == digestlist.SHA256 {
			files[string(path)] = string(digest)
		}
		return nil
	})
	return files, err
}

// signaturesFor makes the signatures that the plugin puts on a package's files
// while they are unpacked, before a scriptlet can run one.
func (d *Daemon) signaturesFor(h *header.Header, list string) (sigs []wire.FileSignature, err error) {
	e := d.snapshot().list(list)
	if e == nil {
		e = &entry{List: store.List{Name: list}}
	}
	files, err := d.vouched(e)
	if err != nil {
		return nil, fmt.Errorf("cannot sign files of %s: %w", list, err)
	}
	id, until := d.maker.Load().identity, time.Now().Add(signBudget)
	err = h.Files(func(f header.File) error {
		if !executable(f) || files[f.Path()] != string(f.Digest) || time.Now().After(until) {
			return nil
		}
		value, err := id.imaSignature(f.Digest)
		sigs = append(sigs, wire.FileSignature{File: uint32(f.Index), Value: value})
		return err
	})
	return sigs, err
}

// fileSigner keeps the signatures on the files of installed packages as lists
// allow. One goroutine uses it.
type fileSigner struct {
	d    *Daemon
	done map[store.Digest]string // what the files of an installed header were last made to be
	off  bool                    // no file shall have one
}

func newFileSigner(d *Daemon) *fileSigner {
	return &fileSigner{d: d, done: map[store.Digest]string{}, off: !d.config.IMASignatures}
}

// switchedOff reports whether there are signatures to take back.
func (f *fileSigner) switchedOff() (off bool) {
	f.d.onState(context.Background(), func(s *state) error {
		off = f.off && s.signsFiles
		return nil
	})
	return off
}

// follow brings the files of all packages whose lists have changed in line with
// them.
func (f *fileSigner) follow(ctx context.Context) error {
	if f.off {
		return nil
	}
	snap, id := f.d.snapshot(), f.d.maker.Load().identity
	want := make(map[store.Digest]*entry, len(snap.entries))
	for _, e := range snap.entries {
		if e.active() && !e.broken && e.Grace == "" {
			want[e.Header] = e
		}
	}
	goal := func(header store.Digest) string {
		if e := want[header]; e != nil {
			return id.skid() + e.Body.String()
		}
		return "none"
	}
	if !f.behind(want, goal, snap.open > 0) {
		return nil
	}
	if err := f.remember(ctx, true); err != nil {
		return err
	}
	installed := map[store.Digest]bool{}
	err := f.eachInstalled(ctx, func(digest store.Digest, h *header.Header) error {
		installed[digest] = true
		if f.done[digest] == goal(digest) {
			return nil
		}
		err := f.settle(snap, id, h, want[digest])
		if err == nil {
			f.done[digest] = goal(digest) // else it is tried again at the next change
		}
		return err
	})
	for digest := range f.done {
		if !installed[digest] {
			delete(f.done, digest)
		}
	}
	return err
}

// takeBack removes all our signatures, since they were switched off.
func (f *fileSigner) takeBack(ctx context.Context) error {
	snap, id := f.d.snapshot(), f.d.maker.Load().identity
	err := f.eachInstalled(ctx, func(_ store.Digest, h *header.Header) error { return f.settle(snap, id, h, nil) })
	if err == nil {
		err = f.remember(ctx, false)
	}
	if err == nil {
		f.d.log.Info("signatures taken off files", "reason", "ima-signatures is off")
	}
	return err
}

// eachInstalled calls fn for each header of rpm's database that can be read. It
// goes on after an error of fn, and returns the last.
func (f *fileSigner) eachInstalled(ctx context.Context, fn func(store.Digest, *header.Header) error) error {
	dir, err := f.d.locateDB()
	if errors.Is(err, rpmdb.ErrNoDatabase) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot sign files: %w", err)
	}
	db, err := rpmdb.Open(dir)
	if err != nil {
		return fmt.Errorf("cannot sign files: %w", err)
	}
	var failed error
	err = db.Headers(ctx, func(_ uint32, blob []byte) error {
		h, err := header.Parse(blob)
		if err != nil {
			return nil
		}
		if digest, err := h.Digest(); err == nil {
			if err := fn(digest, h); err != nil {
				failed = err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("cannot sign files: %w", err)
	}
	return failed
}

// behind reports whether some package's files may not be as its list allows.
// While packages change only what went counts: what comes is signed as it is
// unpacked, and is not in rpm's database yet.
func (f *fileSigner) behind(want map[store.Digest]*entry, goal func(store.Digest) string, changing bool) bool {
	for header, was := range f.done {
		if want[header] == nil && was != "none" {
			return true
		}
	}
	if changing {
		return false
	}
	for header := range want {
		if f.done[header] != goal(header) {
			return true
		}
	}
	return len(f.done) == 0
}

// remember notes in the index whether files may bear signatures of ours, before
// the first does and after the last.
func (f *fileSigner) remember(ctx context.Context, signs bool) error {
	return f.d.decide(ctx, func(s *state) error {
		if s.signsFiles == signs {
			return nil
		}
		value := []byte{1}
		if !signs {
			value = nil
		}
		s.batch.SetMeta(metaSigned, value)
		s.signsFiles = signs
		return nil
	})
}

// settle signs the files of one installed package that e vouches for, and takes
// our signature off the others; e is nil when no list does.
func (f *fileSigner) settle(snap *snapshot, id *identity, h *header.Header, e *entry) error {
	files := map[string]string{}
	if e != nil {
		var err error
		if files, err = f.d.vouched(e); err != nil {
			return fmt.Errorf("cannot sign files of %s: %w", e.Name, err)
		}
	}
	var failed error
	err := h.Files(func(file header.File) error {
		if !executable(file) {
			return nil
		}
		want := file.Digest
		if files[file.Path()] != string(file.Digest) {
			want = nil
		}
		if err := f.settleFile(snap, id, file.Path(), want); err != nil {
			failed = err
		}
		return nil
	})
	return errors.Join(err, failed)
}

func (f *fileSigner) settleFile(snap *snapshot, id *identity, path string, want []byte) error {
	file, err := f.d.root.Find(path, false)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, kernel.ErrNotRegular) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot sign %s: %w", path, err)
	}
	defer file.Close()
	value, err := file.IMA()
	if err != nil {
		return fmt.Errorf("cannot sign %s: %w", path, err)
	}
	if f.shared(snap, path, want) {
		// Several packages have it, maybe each its own: what lies there decides.
		if want, err = f.contentVouched(snap, path, file); err != nil {
			return fmt.Errorf("cannot sign %s: %w", path, err)
		}
	}
	switch {
	case want != nil && !id.signed(value, want):
		if value, err = id.imaSignature(want); err == nil {
			err = file.SetIMA(value)
		}
	case want == nil && ours(snap, value):
		err = file.RemoveIMA()
	}
	if err != nil {
		return fmt.Errorf("cannot sign %s: %w", path, err)
	}
	return nil
}

// shared reports whether lists other than the one that was asked about may have
// the path.
func (f *fileSigner) shared(snap *snapshot, path string, want []byte) bool {
	lists := 0
	if want != nil {
		lists = -1
	}
	for e := range snap.lookup.withPath(pathRef([]byte(path))) {
		if e.active() && !e.broken {
			lists++
		}
	}
	return lists > 0 && !f.off
}

// contentVouched returns the file's digest, if an active list has it under that
// path, else nil.
func (f *fileSigner) contentVouched(snap *snapshot, path string, file *kernel.File) ([]byte, error) {
	sum, err := contentDigest(file)
	if err != nil {
		return nil, err
	}
	for e := range snap.lookup.withPath(pathRef([]byte(path))) {
		if !e.active() || e.broken {
			continue
		}
		files, err := f.d.vouched(e)
		if err != nil {
			return nil, err
		}
		if files[path] == string(sum) {
			return sum, nil
		}
	}
	return nil, nil
}

// ours reports whether one of this machine's keys signed the file, now or before.
func ours(snap *snapshot, value []byte) bool {
	s, err := kernel.ParseIMASignature(value)
	if err != nil {
		return false
	}
	for _, c := range snap.certificates {
		if s.KeyID == keyID(c.SubjectKeyId) {
			return true
		}
	}
	return false
}
