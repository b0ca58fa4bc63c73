// SPDX-License-Identifier: Apache-2.0

package snapshot_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/guard/snapshot"
	"github.com/digestd/digestd/kernel/guard"
)

// sample has two digests, of which the second is held by three lists.
func sample(t testing.TB) *snapshot.Snapshot {
	t.Helper()
	s, err := snapshot.New(7, []byte(record(guard.Digest{2, 2}, 3)+record(guard.Digest{1}, 1)))
	if err != nil {
		t.Fatal(err)
	}
	s.Enforced = true
	return s
}

// record is a digest, and how many lists hold it.
func record(d guard.Digest, lists uint32) string {
	return string(binary.BigEndian.AppendUint32(d[:], lists))
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// fixed gives one signature to all.
type fixed string

func (f fixed) Public() crypto.PublicKey { return nil }

func (f fixed) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return []byte(f), nil }

// TestGoldenBytes: docs/formats.md says which bytes these are.
func TestGoldenBytes(t *testing.T) {
	got, err := sample(t).Sign(fixed("sig"))
	if err != nil {
		t.Fatal(err)
	}
	want := hex.EncodeToString([]byte("digestd guard 2\n")) +
		"0000000000000007" + "00000001" + "00000002" + // commit, enforced, digests
		"01" + strings.Repeat("00", 31) + "00000001" +
		"0202" + strings.Repeat("00", 30) + "00000003" +
		"0003" + "736967" // signature
	if hex.EncodeToString(got) != want {
		t.Errorf("got %x, want %s", got, want)
	}
}

func TestSignedIsRead(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{"ecdsa": newKey(t), "rsa": rsaKey} {
		data, err := sample(t).Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		s, err := snapshot.Parse(data, key.Public())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		digests, lists := s.Part(1, 9)
		if s.Commit != 7 || !s.Enforced || s.Len() != 2 || !slices.Equal(digests, []guard.Digest{{2, 2}}) || !slices.Equal(lists, []uint32{3}) {
			t.Errorf("%s: commit %d, %d digests, the last %x of %d lists", name, s.Commit, s.Len(), digests, lists)
		}
		if _, err := snapshot.Parse(data, newKey(t).Public()); !errors.Is(err, snapshot.ErrSignature) {
			t.Errorf("%s, another key: %v", name, err)
		}
	}
}

// Every change of any byte, each byte that is missing and each that is added is noticed.
func TestAlteredIsRefused(t *testing.T) {
	key := newKey(t)
	data, err := sample(t).Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		altered := slices.Clone(data)
		altered[i] ^= 1
		if _, err := snapshot.Parse(altered, key.Public()); err == nil {
			t.Errorf("byte %d is another, and it was taken", i)
		}
		if _, err := snapshot.Parse(data[:i], key.Public()); err == nil {
			t.Errorf("its first %d bytes were taken", i)
		}
	}
	if _, err := snapshot.Parse(append(slices.Clone(data), 0), key.Public()); !errors.Is(err, snapshot.ErrFormat) {
		t.Errorf("one byte more: %v", err)
	}
	if _, err := snapshot.Parse(data, "no key"); !errors.Is(err, snapshot.ErrSignature) {
		t.Errorf("no key: %v", err)
	}
}

// A signed snapshot is checked all the same.
func TestSignedNonsenseIsRefused(t *testing.T) {
	key := newKey(t)
	for name, test := range map[string]struct {
		commit  uint64
		records string
	}{
		"commit 0":      {0, record(guard.Digest{1}, 1)},
		"of no list":    {1, record(guard.Digest{1}, 0)},
		"not ascending": {1, record(guard.Digest{2}, 1) + record(guard.Digest{1}, 1)},
		"twice":         {1, record(guard.Digest{1}, 1) + record(guard.Digest{1}, 1)},
	} {
		b := binary.BigEndian.AppendUint64([]byte("digestd guard 1\n"), test.commit)
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(test.records)/36)), test.records...)
		sum := sha256.Sum256(b)
		sig, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(sig))), sig...)
		if _, err := snapshot.Parse(b, key.Public()); !errors.Is(err, snapshot.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatCannotBeASnapshot(t *testing.T) {
	one := record(guard.Digest{1}, 1)
	for name, test := range map[string]struct {
		commit  uint64
		records string
	}{
		"commit 0":         {0, one},
		"of no list":       {1, record(guard.Digest{1}, 0)},
		"twice":            {1, one + one},
		"part of a record": {1, one[1:]},
		"too many":         {1, strings.Repeat(one, snapshot.Most+1)},
	} {
		if _, err := snapshot.New(test.commit, []byte(test.records)); !errors.Is(err, snapshot.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := sample(t).Sign(fixed(strings.Repeat("x", 2049))); err == nil {
		t.Error("a signature that is too long was taken")
	}
}

// FuzzParse reads bytes that a key signed whatever they are, and bytes that none did.
func FuzzParse(f *testing.F) {
	key := newKey(f)
	data, err := sample(f).Sign(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data, false)
	f.Add(data[:len(data)-73], true)
	f.Add([]byte("digestd guard 1\n"), false)
	f.Fuzz(func(t *testing.T, b []byte, sign bool) {
		if sign {
			sum := sha256.Sum256(b)
			sig, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
			if err != nil {
				t.Fatal(err)
			}
			b = append(binary.BigEndian.AppendUint16(slices.Clone(b), uint16(len(sig))), sig...)
		}
		s, err := snapshot.Parse(b, key.Public())
		if err != nil {
			return
		}
		again, err := s.Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		// Signatures differ each time; what is signed has one form only.
		if n := 28 + 36*s.Len(); string(again[:n]) != string(b[:n]) {
			t.Errorf("%x is written as %x", b[:n], again[:n])
		}
	})
}
