// SPDX-License-Identifier: Apache-2.0

package export_test

import (
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/export"
	"github.com/digestd/digestd/daemon/identity"
	"github.com/digestd/digestd/daemon/signer"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/integration/bench/gendb"
	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/kernel"
	"golang.org/x/sys/unix"
)

// signing is a machine whose files of packages get signatures.
func signing(t *testing.T) *machine {
	t.Helper()
	needs.Root(t)
	m := &machine{Machine: daemontest.New(t, func(c *config.Config) { c.IMASignatures = true })}
	m.stop = daemontest.Loop(t, m.Exporter.Run)
	return m
}

// value is a file's signature, nil for none.
func (m *machine) value(path string) []byte {
	buf := make([]byte, 1024)
	n, err := unix.Getxattr(m.Path(path), kernel.IMAName, buf)
	if err != nil {
		return nil
	}
	return buf[:n]
}

// signed says of files whether the key of this machine signed their content: "signed", ""
// without a signature, "otherwise" with another.
func (m *machine) signed(paths ...string) map[string]string {
	all := map[string]string{}
	for _, path := range paths {
		value := m.value(path)
		content, err := os.ReadFile(m.Path(path))
		sum := sha256.Sum256(content)
		switch {
		case err != nil:
			all[path] = err.Error()
		case value == nil:
			all[path] = ""
		case m.Builder.Load().Identity.Signed(value, identity.Vouched{Algo: digestlist.SHA256, Digest: string(sum[:])}, m.Config.IMASignatureVersion):
			all[path] = "signed"
		default:
			all[path] = "otherwise"
		}
	}
	return all
}

func (m *machine) wantSigned(t *testing.T, when string, want map[string]string) {
	t.Helper()
	paths := slices.Collect(maps.Keys(want))
	defer func() {
		if t.Failed() {
			t.Logf("%s: files are %v, want %v", when, m.signed(paths...), want)
		}
	}()
	daemontest.Await(t, when, func() bool { return maps.Equal(m.signed(paths...), want) })
}

// compared does a comparison and lets the files be signed that it found.
func (m *machine) compared(t *testing.T) {
	t.Helper()
	m.Sync(t)
	m.Exporter.FilesToSign(false)
}

// Files bear a signature as long as a list vouches for them and they have its content.
func TestSignaturesFollowLists(t *testing.T) {
	m := signing(t)
	m.pkg(t, "tool", map[string]string{"/usr/bin/tool": "one", "/usr/bin/altered": "two"})
	m.pkg(t, "other", map[string]string{"/usr/bin/other": "three"})
	m.File(t, "/usr/bin/nobody", "four")
	m.compared(t)
	want := map[string]string{"/usr/bin/tool": "signed", "/usr/bin/altered": "signed", "/usr/bin/other": "signed", "/usr/bin/nobody": ""}
	m.wantSigned(t, "installed", want)

	if err := m.FloorSet(t.Context(), daemontest.Root, "tool.noarch", "2-1", "too old"); err != nil {
		t.Fatal(err)
	}
	want["/usr/bin/tool"], want["/usr/bin/altered"] = "", ""
	m.wantSigned(t, "a floor above it", want)

	if err := m.FloorClear(t.Context(), daemontest.Root, "tool.noarch", "was wrong"); err != nil {
		t.Fatal(err)
	}
	m.compared(t)
	want["/usr/bin/tool"], want["/usr/bin/altered"] = "signed", "signed"
	m.wantSigned(t, "the floor gone", want)

	// A list that goes with its package takes the signature away, too.
	m.Erase(t, daemontest.Package(t, "other", "", nil))
	m.compared(t)
	want["/usr/bin/other"] = ""
	m.wantSigned(t, "erased", want)
}

// Another key of the machine signs all files anew.
func TestSignaturesByAnotherKey(t *testing.T) {
	m := signing(t)
	m.pkg(t, "tool", map[string]string{"/usr/bin/tool": "one"})
	m.compared(t)
	m.wantSigned(t, "installed", map[string]string{"/usr/bin/tool": "signed"})
	before := m.value("/usr/bin/tool")
	if _, err := m.SignerRotate(t.Context(), daemontest.Root, false, "test"); err != nil {
		t.Fatal(err)
	}
	m.Exporter.FilesToSign(false)
	m.wantSigned(t, "another key", map[string]string{"/usr/bin/tool": "signed"})
	if slices.Equal(m.value("/usr/bin/tool"), before) {
		t.Error("it is the signature of before")
	}
}

// When signatures are switched off, the next start removes all of them; those of others stay.
func TestSignaturesSwitchedOff(t *testing.T) {
	m := signing(t)
	m.pkg(t, "tool", map[string]string{"/usr/bin/tool": "one", "/usr/bin/foreign": "two"})
	m.compared(t)
	m.wantSigned(t, "installed", map[string]string{"/usr/bin/tool": "signed", "/usr/bin/foreign": "signed"})
	foreign := kernel.IMASignature{Hash: uint8(digestlist.SHA256), KeyID: [4]byte{1, 2, 3, 4}, Signature: []byte("somebody's")}.Value()
	if err := unix.Setxattr(m.Path("/usr/bin/foreign"), kernel.IMAName, foreign, 0); err != nil {
		t.Fatal(err)
	}
	m.stop()
	m.Stop()
	m.Config.IMASignatures = false
	m.Start(t)
	daemontest.Loop(t, m.Exporter.Run)
	m.wantSigned(t, "switched off", map[string]string{"/usr/bin/tool": "", "/usr/bin/foreign": "otherwise"})
}

// Several packages may have a path: what lies there decides whose content is signed, and
// content that none of them has is not.
func TestSharedFileIsSigned(t *testing.T) {
	m := signing(t)
	m.pkg(t, "left", map[string]string{"/usr/bin/both": "left", "/usr/bin/neither": "left"})
	m.pkg(t, "right", map[string]string{"/usr/bin/both": "right", "/usr/bin/neither": "right"})
	m.File(t, "/usr/bin/both", "left")
	m.File(t, "/usr/bin/neither", "somebody's")
	m.compared(t)
	m.wantSigned(t, "the left one's", map[string]string{"/usr/bin/both": "signed", "/usr/bin/neither": ""})
	m.File(t, "/usr/bin/both", "right")
	m.Exporter.FilesToSign(true)
	m.wantSigned(t, "the right one's", map[string]string{"/usr/bin/both": "signed", "/usr/bin/neither": ""})
	// Without the list that vouches for what lies there, no signature does.
	m.Erase(t, daemontest.Package(t, "right", "", nil))
	m.compared(t)
	daemontest.Await(t, "erased", func() bool { return m.signed("/usr/bin/both")["/usr/bin/both"] != "signed" })
}

// A file that resists keeps the others from nothing, is named, and is tried again.
func TestSignatureThatResists(t *testing.T) {
	needs.Programs(t, "chattr")
	m := signing(t)
	m.pkg(t, "tool", map[string]string{"/usr/bin/a": "one", "/usr/bin/frozen": "two", "/usr/bin/z": "three"})
	frozen := m.Path("/usr/bin/frozen")
	if out, err := exec.Command("chattr", "+i", frozen).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	melt := func() { exec.Command("chattr", "-i", frozen).Run() }
	t.Cleanup(melt)
	m.compared(t)
	m.wantSigned(t, "frozen", map[string]string{"/usr/bin/a": "signed", "/usr/bin/frozen": "", "/usr/bin/z": "signed"})
	daemontest.Await(t, "the problem", func() bool { return strings.Contains(m.Problem("ima-signatures").Text, "cannot sign /usr/bin/frozen") })
	melt()
	m.wantSigned(t, "melted", map[string]string{"/usr/bin/frozen": "signed"})
	daemontest.Await(t, "the end of the problem", func() bool { return m.Problem("ima-signatures").Text == "" })
}

// forPlugin are the signatures that a package manager gets for the files that it unpacks, by
// path.
func (m *machine) forPlugin(t *testing.T, ctx context.Context, made gendb.Made, list string, budget time.Duration) (map[string][]byte, error) {
	t.Helper()
	h, err := header.Parse(made.Blob)
	if err != nil {
		t.Fatal(err)
	}
	sigs, err := m.Exporter.SignaturesFor(ctx, h, list, budget)
	byPath := map[string][]byte{}
	h.Files(func(f header.File) error {
		for _, s := range sigs {
			if s.File == uint32(f.Index) {
				byPath[f.Path()] = s.Value
			}
		}
		return nil
	})
	return byPath, err
}

// stuck is a key that answers after a while, and then with an error if there is one.
type stuck struct {
	signer.Signer
	after time.Duration
	err   error
}

func (s stuck) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	time.Sleep(s.after)
	if s.err != nil {
		return nil, s.err
	}
	return s.Signer.Sign(r, digest, opts)
}

// A package manager gets signatures for what its list vouches for, as many as are ready
// within the time that it waits, whatever the key does.
func TestSignaturesWhileUnpacking(t *testing.T) {
	m := &machine{Machine: daemontest.New(t, func(c *config.Config) { c.IMASignatures = true })}
	tool := m.Install(t, daemontest.Package(t, "tool", "", map[string]string{"/usr/bin/a": "one", "/usr/bin/b": "two"}))[0]
	m.Sync(t)
	const list = "tlv-tool-0:1-1.noarch"
	got, err := m.forPlugin(t, t.Context(), tool, list, export.SignBudget)
	if err != nil || len(got) != 2 {
		t.Fatalf("%d signatures: %v", len(got), err)
	}
	id := m.Builder.Load().Identity
	for path, content := range map[string]string{"/usr/bin/a": "one", "/usr/bin/b": "two"} {
		sum := sha256.Sum256([]byte(content))
		if !id.Signed(got[path], identity.Vouched{Algo: digestlist.SHA256, Digest: string(sum[:])}, kernel.IMAVersion2) {
			t.Errorf("%s is signed by %x", path, got[path])
		}
	}
	// A list that has other contents, or is not there, vouches for nothing.
	other := m.Install(t, daemontest.Package(t, "other", "", map[string]string{"/usr/bin/a": "three"}))[0]
	if got, err := m.forPlugin(t, t.Context(), other, list, export.SignBudget); err != nil || len(got) > 0 {
		t.Errorf("%d signatures of another package: %v", len(got), err)
	}
	if _, err := m.forPlugin(t, t.Context(), tool, "tlv-missing-0:1-1.noarch", export.SignBudget); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of a list that is not there: %v", err)
	}
	for name, test := range map[string]struct {
		key     stuck
		budget  time.Duration
		most    int
		fails   bool
		longest time.Duration
	}{
		"no time":             {stuck{}, 0, 0, false, time.Second},
		"a key that is slow":  {stuck{after: 300 * time.Millisecond}, 450 * time.Millisecond, 1, false, 2 * time.Second},
		"a key that is stuck": {stuck{after: 5 * time.Second}, 100 * time.Millisecond, 0, false, 2 * time.Second},
		"a key that is away":  {stuck{err: errors.New("the token is away")}, export.SignBudget, 0, true, time.Second},
	} {
		key := test.key
		key.Signer = id.Key
		b := *m.Builder.Load()
		b.Identity = id.With(id.Cert, key)
		m.Builder.Store(&b)
		started := time.Now()
		got, err := m.forPlugin(t, t.Context(), tool, list, test.budget)
		if took := time.Since(started); len(got) > test.most || (err != nil) != test.fails || took > test.longest {
			t.Errorf("%s: %d signatures within %s, %v; want at most %d", name, len(got), took, err, test.most)
		}
	}
	b := *m.Builder.Load()
	b.Identity = id
	m.Builder.Store(&b)
}

// wordy is a key whose signatures are as long as those of the largest keys.
type wordy struct{ signer.Signer }

func (wordy) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return make([]byte, 1000), nil
}

// The signatures that a package manager gets fit into one message, however many files there are:
// without that message it would have lost digestd.
func TestSignaturesFitIntoAMessage(t *testing.T) {
	m := &machine{Machine: daemontest.New(t, func(c *config.Config) { c.IMASignatures = true })}
	files := map[string]string{}
	for i := range 9000 {
		files[fmt.Sprintf("/usr/bin/%d", i)] = "content"
	}
	many := m.Install(t, daemontest.Package(t, "many", "", files))[0]
	m.Sync(t)
	b := *m.Builder.Load()
	id := b.Identity
	b.Identity = id.With(id.Cert, wordy{id.Key})
	m.Builder.Store(&b)
	got, err := m.forPlugin(t, t.Context(), many, "tlv-many-0:1-1.noarch", export.SignBudget)
	b.Identity = id
	m.Builder.Store(&b)
	size := 0
	for _, value := range got {
		size += 4 + 4 + len(value)
	}
	if err != nil || len(got) == 0 || size > wire.MaxList-wire.MaxControl {
		t.Errorf("%d signatures of %d bytes in all, %v", len(got), size, err)
	}
}
