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
	key  crypto.Signer
}

// audited makes the snapshot one of a guard that only audited.
func (b *begun) audited(t *testing.T) {
	t.Helper()
	snap, err := snapshot.Parse(b.data, b.key.Public())
	if err == nil {
		snap.Enforced = false
		b.data, err = snap.Sign(b.key)
	}
	if err == nil {
		err = os.WriteFile(b.path, b.data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func begin(t *testing.T) *begun {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const many = 10_000 // more than one part
	b := &begun{key: key, want: map[guard.Digest]uint32{}}
	var records []byte
	for i := range uint32(many) {
		b.want[digest(i)] = i%3 + 1
		d := digest(i)
		records = binary.BigEndian.AppendUint32(append(records, d[:]...), i%3+1)
	}
	snap, err := snapshot.New(7, records)
	if err == nil {
		snap.Enforced = true
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
func mode(t *testing.T, kernel *guardtest.Memory, begun protocol.Begun) (string, protocol.Status) {
	t.Helper()
	facts := enforcing()
	facts.Start, facts.Anyway, facts.Check = begun.Doubt, begun.Anyway, !begun.Checked
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
	got, err := b.Begin(kernel)
	if got != (protocol.Begun{Checked: true}) || err != nil || kernel.At != 7 || !maps.Equal(kernel.Lists, b.want) {
		t.Errorf("%+v, %v, commit %d, %d digests", got, err, kernel.At, len(kernel.Lists))
	}
	if is, _ := mode(t, kernel, got); is != "enforce" {
		t.Errorf("it is in mode %s", is)
	}
}

// TestBeginUnchecked: what was only audited before is not enforced before a check, also where
// the owner wants a snapshot of another commit to be.
func TestBeginUnchecked(t *testing.T) {
	for name, commit := range map[string]uint64{"of the index's commit": 7, "older": 8} {
		b, kernel := begin(t), guardtest.NewMemory()
		b.audited(t)
		b.Stale, b.Commit = guard.Enforce, func() (uint64, error) { return commit, nil }
		got, err := b.Begin(kernel)
		if got.Checked || got.Anyway || err != nil || len(kernel.Lists) != len(b.want) {
			t.Errorf("%s: %+v, %v, %d digests", name, got, err, len(kernel.Lists))
		}
		if is, s := mode(t, kernel, got); is != "audit" || !s.Unchecked || s.Why == "" {
			t.Errorf("%s: mode %s, %+v", name, is, s)
		}
	}
}

// The digests in the kernel count for more than a snapshot.
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
		got, err := b.Begin(kernel)
		if got != (protocol.Begun{Checked: was.Is.Mode == guard.Enforce}) || err != nil || !maps.Equal(kernel.Lists, was.Lists) || kernel.At != was.At || kernel.Is != was.Is {
			t.Errorf("%s: %+v, %v; %+v", name, got, err, kernel)
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
		}, want: "not a regular file"},
		"older":    {spoil: func(t *testing.T, b *begun) { b.Commit = func() (uint64, error) { return 8, nil } }, want: "from commit 7, but the index is at commit 8", stale: true},
		"newer":    {spoil: func(t *testing.T, b *begun) { b.Commit = func() (uint64, error) { return 6, nil } }, want: "from commit 7, but the index is at commit 6", stale: true},
		"no index": {spoil: func(t *testing.T, b *begun) { b.Commit = func() (uint64, error) { return 0, errors.New("gone") } }, want: "which commit", stale: true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, stale := range []guard.Mode{guard.Audit, guard.Enforce} {
				b, kernel := begin(t), guardtest.NewMemory()
				test.spoil(t, b)
				b.Stale = stale
				begun, err := b.Begin(kernel)
				if err != nil || !strings.Contains(begun.Doubt, test.want) {
					t.Errorf("%+v, %v; want %q", begun, err, test.want)
				}
				if kernel.At != 0 {
					t.Errorf("digestd would not compare: commit %d", kernel.At)
				}
				want := "audit"
				if test.stale && stale == guard.Enforce {
					want = "enforce"
				}
				got, s := mode(t, kernel, begun)
				if got != want || s.Start != begun.Doubt || want == "audit" && s.Why == "" {
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
	// The credential of the unit if there is no certificate.
	if err := os.WriteFile(path+"2", []byte("none"), 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := protocol.KeyIn(path + "2")(); err == nil || !strings.Contains(err.Error(), "is not a certificate") {
		t.Errorf("no certificate: %v", err)
	}
	if _, err := protocol.KeyIn("")(); err == nil {
		t.Error("no name gave a key")
	}
}
