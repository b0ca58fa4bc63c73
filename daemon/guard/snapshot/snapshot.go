// SPDX-License-Identifier: Apache-2.0

// Package snapshot reads and writes what the guard starts with: the digests that active
// lists held at one commit of the index, signed by the machine's key.
//
// It promises that no input makes it panic or hold more memory than the input is long,
// that nothing of a snapshot is returned whose signature is not that of the key, and
// that a snapshot has one encoding only.
package snapshot

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sort"

	"github.com/digestd/digestd/kernel/guard"
)

// Name is the name of the snapshot's file in the state directory.
const Name = "guard.snapshot"

// Most is how many digests a snapshot has at most.
const Most = 1 << 22

// MaxSize is how many bytes a snapshot has at most.
const MaxSize = headSize + Most*recordSize + 2 + maxSignature

const (
	magic        = "digestd guard 2\n"
	headSize     = len(magic) + 8 + 4 + 4 // magic, commit, whether it was enforced, number of digests
	recordSize   = len(guard.Digest{}) + 4
	maxSignature = 2048
)

var (
	// ErrFormat is wrapped by errors about bytes that are no snapshot.
	ErrFormat = errors.New("it is no snapshot of the guard")
	// ErrSignature means that the key did not sign the snapshot.
	ErrSignature = errors.New("the signature is not that of the machine's key")
)

// Snapshot is what the guard lets run. It aliases the bytes that it was read from.
type Snapshot struct {
	Commit   uint64 // of the index, not 0
	Enforced bool   // the guard was in mode enforce, without an end, when it was made
	records  []byte
}

// New returns a snapshot of records: each a digest and, in four bytes, big-endian, how
// many lists hold it. It keeps records, and sorts them.
func New(commit uint64, records []byte) (*Snapshot, error) {
	if len(records)%recordSize != 0 || len(records) > Most*recordSize {
		return nil, fmt.Errorf("cannot make a snapshot of the guard: %w: %d bytes are no records, or too many", ErrFormat, len(records))
	}
	sort.Sort(byDigest(records))
	s := &Snapshot{Commit: commit, records: records}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("cannot make a snapshot of the guard: %w", err)
	}
	return s, nil
}

// byDigest sorts records where they are: there may be millions.
type byDigest []byte

func (r byDigest) at(i int) []byte    { return r[i*recordSize : (i+1)*recordSize] }
func (r byDigest) Len() int           { return len(r) / recordSize }
func (r byDigest) Less(i, j int) bool { return bytes.Compare(r.at(i), r.at(j)) < 0 }

func (r byDigest) Swap(i, j int) {
	was := [recordSize]byte(r.at(i))
	copy(r.at(i), r.at(j))
	copy(r.at(j), was[:])
}

// check says whether the snapshot is one that can be signed, or was.
func (s *Snapshot) check() error {
	if s.Commit == 0 {
		return fmt.Errorf("%w: its commit is 0", ErrFormat)
	}
	for i := range s.Len() {
		digest, lists := s.record(i)
		if lists == 0 {
			return fmt.Errorf("%w: no list holds digest %d", ErrFormat, i)
		}
		if i == 0 {
			continue
		}
		if before, _ := s.record(i - 1); bytes.Compare(before, digest) >= 0 {
			return fmt.Errorf("%w: digest %d is not above the one before", ErrFormat, i)
		}
	}
	return nil
}

func (s *Snapshot) record(i int) (digest []byte, lists uint32) {
	r := s.records[i*recordSize : (i+1)*recordSize]
	return r[:len(guard.Digest{})], binary.BigEndian.Uint32(r[len(guard.Digest{}):])
}

// Len returns how many digests the snapshot has.
func (s *Snapshot) Len() int { return len(s.records) / recordSize }

// Part returns n digests from the one with the number first on, fewer at the end, and
// how many lists hold each.
func (s *Snapshot) Part(first, n int) (digests []guard.Digest, lists []uint32) {
	for i := first; i < min(first+n, s.Len()); i++ {
		digest, held := s.record(i)
		digests, lists = append(digests, guard.Digest(digest)), append(lists, held)
	}
	return digests, lists
}

// Sign returns the bytes of the snapshot, signed by the key: RSA (PKCS #1 v1.5) or ECDSA
// (ASN.1) over the SHA-256 of all before the signature's length.
func (s *Snapshot) Sign(key crypto.Signer) ([]byte, error) {
	b := append(make([]byte, 0, headSize+len(s.records)+2+maxSignature), magic...)
	b = binary.BigEndian.AppendUint64(b, s.Commit)
	enforced := uint32(0)
	if s.Enforced {
		enforced = 1
	}
	b = binary.BigEndian.AppendUint32(b, enforced)
	b = binary.BigEndian.AppendUint32(b, uint32(s.Len()))
	b = append(b, s.records...)
	sum := sha256.Sum256(b)
	signature, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("cannot sign the guard's snapshot: %w", err)
	}
	if len(signature) > maxSignature {
		return nil, fmt.Errorf("cannot sign the guard's snapshot: a signature of %d bytes is longer than %d", len(signature), maxSignature)
	}
	return append(binary.BigEndian.AppendUint16(b, uint16(len(signature))), signature...), nil
}

// Parse reads what Sign returned and key's private half signed. The signature is verified
// before anything but lengths is looked at.
func Parse(b []byte, key crypto.PublicKey) (*Snapshot, error) {
	if len(b) < headSize || string(b[:len(magic)]) != magic {
		return nil, ErrFormat
	}
	count := binary.BigEndian.Uint32(b[headSize-4:])
	if count > Most {
		return nil, fmt.Errorf("%w: %d digests are too many", ErrFormat, count)
	}
	end := headSize + int(count)*recordSize
	if len(b) < end+2 {
		return nil, fmt.Errorf("%w: it ends too early", ErrFormat)
	}
	if n := int(binary.BigEndian.Uint16(b[end:])); n > maxSignature || len(b) != end+2+n {
		return nil, fmt.Errorf("%w: a signature of %d bytes does not end it", ErrFormat, n)
	}
	sum := sha256.Sum256(b[:end])
	if !verified(key, sum[:], b[end+2:]) {
		return nil, ErrSignature
	}
	enforced := binary.BigEndian.Uint32(b[len(magic)+8:])
	if enforced > 1 {
		return nil, fmt.Errorf("%w: %d is neither 0 nor 1", ErrFormat, enforced)
	}
	s := &Snapshot{Commit: binary.BigEndian.Uint64(b[len(magic):]), Enforced: enforced == 1, records: b[headSize:end:end]}
	if err := s.check(); err != nil {
		return nil, err
	}
	return s, nil
}

func verified(key crypto.PublicKey, sum, signature []byte) bool {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(key, sum, signature)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum, signature) == nil
	}
	return false
}
