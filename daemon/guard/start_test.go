// SPDX-License-Identifier: Apache-2.0

package guard_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/guardtest"
	"github.com/digestd/digestd/daemon/guard/snapshot"
	"github.com/digestd/digestd/kernel/guard"
)

// begun is a machine that starts: its snapshot is of commit 7 and has many digests.
type begun struct {
	protocol.Start
	want map[guard.Digest]uint32
	path string
	data []byte
}

func begin(t *testing.T) *begun {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const many = 10_000 // more than one part
	b := &begun{want: map[guard.Digest]uint32{}}
	var records []byte
	for i := range uint32(many) {
		b.want[digest(i)] = i%3 + 1
		d := digest(i)
		records = binary.BigEndian.AppendUint32(append(records, d[:]...), i%3+1)
	}
	snap, err := snapshot.New(7, records)
	if err == nil {
		b.data, err = snap.Sign(key)
	}
	if err != nil {
		t.Fatal(err)
	}
	b.Start = protocol.Start{
		State: t.TempDir(), Key: func() (crypto.PublicKey, error) { return key.Public(), nil },
		Commit: func() (uint64, error) { return 7, nil }, Stale: guard.Audit,
	}
	b.path = filepath.Join(b.State, snapshot.Name)
	if err := os.WriteFile(b.path, b.data, 0o600); err != nil {
		t.Fatal(err)
	}
	return b
}

// mode is what a guard that wants to enforce does after it began.
func mode(t *testing.T, kernel *guardtest.Memory, doubt string, enforce bool) (string, protocol.Status) {
	t.Helper()
	facts := enforcing()
	facts.Start, facts.Anyway = doubt, enforce
	k, err := protocol.NewKeeper(kernel, facts)
	if err != nil {
		t.Fatal(err)
	}
	s, err := k.Status()
	if err != nil {
		t.Fatal(err)
	}
	return s.Mode, s
}

// A snapshot of the index's own commit is enforced before digestd is there.
func TestBegin(t *testing.T) {
	b, kernel := begin(t), guardtest.NewMemory()
	doubt, enforce, err := b.Begin(kernel)
	if doubt != "" || enforce || err != nil || kernel.At != 7 || !maps.Equal(kernel.Lists, b.want) {
		t.Errorf("doubt %q, %v, %v, commit %d, %d digests", doubt, enforce, err, kernel.At, len(kernel.Lists))
	}
	if got, _ := mode(t, kernel, doubt, enforce); got != "enforce" {
		t.Errorf("it is in mode %s", got)
	}
}

// What the kernel has already counts for more than a snapshot.
func TestBeginLeavesWhatIsThere(t *testing.T) {
	for name, set := range map[string]func(*guardtest.Memory){
		"digests":  func(m *guardtest.Memory) { m.Lists[digest(1<<30)] = 1 },
		"a commit": func(m *guardtest.Memory) { m.At = 3 },
		"a mode":   func(m *guardtest.Memory) { m.Is.Mode = guard.Enforce },
	} {
		b, kernel := begin(t), guardtest.NewMemory()
		set(kernel)
		was := *kernel
		was.Lists = maps.Clone(kernel.Lists)
		doubt, enforce, err := b.Begin(kernel)
		if doubt != "" || enforce || err != nil || !maps.Equal(kernel.Lists, was.Lists) || kernel.At != was.At || kernel.Is != was.Is {
			t.Errorf("%s: doubt %q, %v, %v; %+v", name, doubt, enforce, err, kernel)
		}
	}
}

// On any doubt it audits, and says so; only a snapshot that the machine signed, of
// another commit, is enforced all the same if the owner wants that.
func TestBeginInDoubt(t *testing.T) {
	other := begin(t).data
	for name, test := range map[string]struct {
		spoil func(t *testing.T, b *begun)
		want  string
		stale bool
	}{
		"none":        {spoil: func(t *testing.T, b *begun) { os.Remove(b.path) }, want: "no such file"},
		"cut short":   {spoil: func(t *testing.T, b *begun) { os.Truncate(b.path, 100) }, want: "it ends too early"},
		"another key": {spoil: func(t *testing.T, b *begun) { os.WriteFile(b.path, other, 0o600) }, want: "the signature is not that of the machine's key"},
		"no key": {spoil: func(t *testing.T, b *begun) {
			b.Key = func() (crypto.PublicKey, error) { return nil, errors.New("no credential") }
		}, want: "no credential"},
		"too large": {spoil: func(t *testing.T, b *begun) { os.Truncate(b.path, int64(snapshot.MaxSize)+1) }, want: "more than"},
		"a link": {spoil: func(t *testing.T, b *begun) {
			os.Rename(b.path, b.path+".real")
			os.Symlink(b.path+".real", b.path)
		}, want: "too many levels"},
		"a pipe": {spoil: func(t *testing.T, b *begun) {
			os.Remove(b.path)
			if err := unix.Mkfifo(b.path, 0o600); err != nil {
				t.Fatal(err)
			}
		}, want: "no regular file"},
		"older":    {spoil: func(t *testing.T, b *begun) { b.Commit = func() (uint64, error) { return 8, nil } }, want: "of commit 7, the index is at 8", stale: true},
		"newer":    {spoil: func(t *testing.T, b *begun) { b.Commit = func() (uint64, error) { return 6, nil } }, want: "of commit 7, the index is at 6", stale: true},
		"no index": {spoil: func(t *testing.T, b *begun) { b.Commit = func() (uint64, error) { return 0, errors.New("gone") } }, want: "which commit", stale: true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, stale := range []guard.Mode{guard.Audit, guard.Enforce} {
				b, kernel := begin(t), guardtest.NewMemory()
				test.spoil(t, b)
				b.Stale = stale
				doubt, enforce, err := b.Begin(kernel)
				if err != nil || !strings.Contains(doubt, test.want) {
					t.Errorf("doubt %q, %v; want %q", doubt, err, test.want)
				}
				if kernel.At != 0 {
					t.Errorf("digestd would not compare: commit %d", kernel.At)
				}
				want := "audit"
				if test.stale && stale == guard.Enforce {
					want = "enforce"
				}
				got, s := mode(t, kernel, doubt, enforce)
				if got != want || s.Start != doubt || want == "audit" && s.Why == "" {
					t.Errorf("stale %v: mode %s, want %s; %+v", stale, got, want, s)
				}
				if want == "enforce" && !maps.Equal(kernel.Lists, b.want) {
					t.Errorf("it enforces %d digests", len(kernel.Lists))
				}
			}
		})
	}
}

func TestKeyIn(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, der, 0o400); err != nil {
		t.Fatal(err)
	}
	if got, err := protocol.KeyIn(path)(); err != nil || !key.PublicKey.Equal(got) {
		t.Errorf("%v, %v", got, err)
	}
	// What the unit has where there is no certificate.
	if err := os.WriteFile(path+"2", []byte("none"), 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := protocol.KeyIn(path + "2")(); err == nil || !strings.Contains(err.Error(), "no certificate") {
		t.Errorf("no certificate: %v", err)
	}
	if _, err := protocol.KeyIn("")(); err == nil {
		t.Error("no name gave a key")
	}
}
