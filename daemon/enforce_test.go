// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/enforce"
	"github.com/digestd/digestd/daemon/executor"
	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/contents"
	"github.com/digestd/digestd/daemon/guard/guardtest"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/kernel/guard"
	"github.com/digestd/digestd/store"
)

// enforcer notes what it is told, and what of the list was in the directory then.
type enforcer struct {
	list string // its path
	told []string
	err  error
}

func (e *enforcer) note(what string, list []byte) error {
	there, err := os.ReadFile(e.list)
	switch {
	case err != nil:
		what += ", none there"
	case string(there) == string(list):
		what += ", it is there"
	default:
		what += ", another is there"
	}
	e.told = append(e.told, what)
	return e.err
}

func (e *enforcer) Admit(list executor.List, old []byte) error {
	if old != nil {
		return e.note("admit in the place of another", list.Content)
	}
	return e.note("admit", list.Content)
}

func (e *enforcer) Doubt() { e.told = append(e.told, "doubt") }

func (e *enforcer) Committed() error { return e.err }

func (e *enforcer) Expel(lists []executor.List) error {
	return e.note(fmt.Sprintf("expel %d", len(lists)), lists[0].Content)
}

// TestEnforcerIsTold: what the kernel holds follows the directory, before the answer, and
// also where a list resists.
func TestEnforcerIsTold(t *testing.T) {
	d := bare(t)
	name := "tlv-hello-0:1-1.noarch"
	e := &enforcer{list: filepath.Join(d.Config.Lists, name)}
	d.Exec.Hooks.Enforcer = e
	heard := func(when string, want ...string) {
		t.Helper()
		if !slices.Equal(e.told, want) {
			t.Errorf("%s: told %q, want %q", when, e.told, want)
		}
		e.told = nil
	}
	add := func(build string) {
		t.Helper()
		txn := newTransaction()
		err := d.on(t, func(s *ledger.Ledger) error {
			s.Opened(txn)
			_, err := s.Add(txn, 0, d.staged(t, "hello", build, "a", build))
			return err
		})
		if err == nil {
			err = d.on(t, func(s *ledger.Ledger) error {
				s.Installed(txn, 0)
				return nil
			})
		}
		if _, _, eerr := d.Exec.End(t.Context(), txn); errors.Join(err, eerr) != nil {
			t.Fatal(err, eerr)
		}
	}
	add("b")
	heard("published", "admit, it is there")
	add("c")
	heard("replaced", "admit in the place of another, it is there")
	e.err = errors.New("no answer")
	if err := d.FloorSet(t.Context(), api.Actor{}, "hello.noarch", "2-1", "why"); err != nil {
		t.Error(err)
	}
	heard("withdrawn", "expel 1, none there")
	if !slices.ContainsFunc(d.Snapshot().Problems, func(p api.Problem) bool {
		return p.ID == "guard" && strings.Contains(p.Text, "no answer")
	}) {
		t.Errorf("problems are %+v", d.Snapshot().Problems)
	}
}

// guarded is a daemon that tells a guard in memory of its lists.
func guarded(t *testing.T) (*Daemon, *guardtest.Memory, string) {
	t.Helper()
	d := bare(t)
	d.rooms.Guard = enforce.New(d.Host, filepath.Join(t.TempDir(), "guard.sock"), d.Index.(*store.Index))
	d.rooms.Reconciler.Guard = d.rooms.Guard
	d.Exec.Hooks.Enforcer = d.rooms.Guard
	return d, guardtest.NewMemory(), d.rooms.Guard.Socket
}

// TestGuardLearnsContents: what a list knows by SHA-512 is hashed where it lies, admitted if it
// is what the list says, kept over a restart, and taken out with the list.
func TestGuardLearnsContents(t *testing.T) {
	d, kernel, socket := guarded(t)
	end, err := guardtest.Serve(socket, kernel, protocol.Facts{Wanted: protocol.Change{Mode: "off"}}, &protocol.Log{}, os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	good, bad := "/good", "/bad"
	g := digestlist.Group{Algo: digestlist.SHA512}
	for _, path := range []string{good, bad} {
		sum := sha512.Sum512([]byte(path))
		g.Entries = append(g.Entries, digestlist.Entry{Digest: sum[:], Path: path})
	}
	write := func(path, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(d.Config.Root, path), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(good, good)
	write(bad, "altered")
	list := d.publishGroup(t, "wide", g)
	if !d.rooms.Guard.Agree(t.Context()) || len(kernel.Lists) != 0 {
		t.Fatalf("the guard has %d contents before they are known", len(kernel.Lists))
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.rooms.Guard.Run(ctx) }()
	holds := func(when string, contents ...string) {
		t.Helper()
		want := map[guard.Digest]uint32{}
		for _, content := range contents {
			want[sha256.Sum256([]byte(content))] = 1
		}
		got, at := map[guard.Digest]uint32{}, uint64(0)
		for range 500 {
			d.Exec.Do(t.Context(), func() error {
				got, at = maps.Clone(kernel.Lists), kernel.At
				return nil
			})
			if maps.Equal(got, want) && at == d.Index.(*store.Index).Commits() {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("%s: it has %x at commit %d, want %v", when, got, at, contents)
	}
	holds("hashed", good)
	write(bad, bad)
	executor.Wake(d.rooms.Guard.Learning)
	holds("mended", good, bad)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	// Another digestd finds it in the index, and hashes nothing.
	for _, path := range []string{good, bad} {
		if err := os.Remove(filepath.Join(d.Config.Root, path)); err != nil {
			t.Fatal(err)
		}
	}
	content, err := d.Index.Load()
	if err != nil {
		t.Fatal(err)
	}
	d.rooms.Guard.Close()
	d.rooms.Guard.Agreed = false
	d.rooms.Guard.Remember(content.Meta)
	d.rooms.Guard.Doubt()
	if !d.rooms.Guard.Agree(t.Context()) {
		t.Errorf("problems: %+v", d.Snapshot().Problems)
	}
	if len(kernel.Lists) != 2 {
		t.Errorf("compared anew it has %d contents", len(kernel.Lists))
	}
	whole, err := d.Dir.Read(list, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.rooms.Guard.Expel([]executor.List{{Name: list, Content: whole}}); err != nil || len(kernel.Lists) != 0 {
		t.Errorf("the list left, and it has %d contents; %v", len(kernel.Lists), err)
	}
}

// TestGuardKnowsSizesAndKeepers: the guard hashes no file that is larger than all listed ones,
// and knows which programs may touch it.
func TestGuardKnowsSizesAndKeepers(t *testing.T) {
	d, kernel, socket := guarded(t)
	end, err := guardtest.Serve(socket, kernel, protocol.Facts{Wanted: protocol.Change{Mode: "off"}}, &protocol.Log{}, os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	if !d.rooms.Guard.Agree(t.Context()) || kernel.Is.Largest != 1 {
		t.Errorf("without a list the largest file has %d bytes", kernel.Is.Largest)
	}
	keeper := func(content string) executor.List {
		sum := sha256.Sum256([]byte(content))
		body, err := digestlist.AppendTLV(nil, []digestlist.Group{{Algo: digestlist.SHA256, Entries: []digestlist.Entry{{Digest: sum[:], Path: guard.Keepers[0]}}}})
		if err != nil {
			t.Fatal(err)
		}
		return executor.List{Name: "tlv-" + content + "-0:1-1.noarch", Content: body, Largest: uint64(len(content))}
	}
	for _, content := range []string{"first", "second"} {
		if err := d.rooms.Guard.Admit(keeper(content), nil); err != nil {
			t.Fatal(err)
		}
	}
	if kernel.Is.Largest != 6 || len(kernel.Keepers) != 2 {
		t.Errorf("the largest has %d bytes, and %d are keepers", kernel.Is.Largest, len(kernel.Keepers))
	}
	if err := d.rooms.Guard.Expel([]executor.List{keeper("first")}); err != nil || len(kernel.Keepers) != 1 || kernel.Keepers[0] != sha256.Sum256([]byte("second")) {
		t.Errorf("keepers are %x, %v", kernel.Keepers, err)
	}
	unknown := keeper("third")
	unknown.Largest = 0
	if err := d.rooms.Guard.Admit(unknown, nil); err != nil || kernel.Is.Largest != contents.MaxSize {
		t.Errorf("of unknown size: %d, %v", kernel.Is.Largest, err)
	}
}
