// SPDX-License-Identifier: Apache-2.0

package guard_test

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/guardtest"
	"github.com/digestd/digestd/daemon/guard/snapshot"
)

// The guard sends its digests as a snapshot, once it agrees with the index.
func TestSnapshotOfTheMaps(t *testing.T) {
	kernel := guardtest.NewMemory()
	const many = 20_000 // more than one frame
	for i := range uint32(many) {
		kernel.Lists[digest(i)] = i%3 + 1
	}
	c := dial(t, serve(t, kernel, enforcing(), os.Getuid()))
	if _, err := c.Snapshot(t.Context()); !errors.Is(err, protocol.ErrRefused) || !strings.Contains(err.Error(), "are being changed") {
		t.Errorf("of no commit: %v", err)
	}
	if err := c.SetCommit(t.Context(), 9); err != nil {
		t.Fatal(err)
	}
	s, err := c.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	digests, lists := s.Part(many-1, 1)
	if s.Commit != 9 || s.Len() != many || digests[0] != digest(many-1) || lists[0] != (many-1)%3+1 {
		t.Errorf("commit %d, %d digests, the last %x of %d lists", s.Commit, s.Len(), digests, lists)
	}
	// The connection goes on.
	if st, err := c.Status(t.Context()); err != nil || st.Commit != 9 {
		t.Errorf("%+v, %v", st, err)
	}
	clear(kernel.Lists)
	if s, err := c.Snapshot(t.Context()); err != nil || s.Len() != 0 {
		t.Errorf("without digests: %v", err)
	}
}

// A peer that answers without end, or with something else, is believed nothing.
func TestSnapshotOfAnotherPeer(t *testing.T) {
	for name, frames := range map[string]string{
		"another answer": "\x01\x80\x00\x00\x00\x00\x00\x00",
		"half a record":  "\x01\x84\x00\x00\x00\x00\x00\x01x" + "\x01\x85\x00\x00\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x01",
		"commit 0":       "\x01\x85\x00\x00\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00",
		"short commit":   "\x01\x85\x00\x00\x00\x00\x00\x01x",
		"the end":        "\x01\x84\x00\x00\x00\x00\x00\x00",
	} {
		path := filepath.Join(t.TempDir(), "guard.sock")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			if c, err := l.Accept(); err == nil {
				io.ReadFull(c, make([]byte, 8)) // the question: who closes before it is there breaks the connection
				io.WriteString(c, frames)
				c.Close()
			}
		}()
		if s, err := dial(t, path).Snapshot(t.Context()); err == nil {
			t.Errorf("%s: commit %d, %d digests", name, s.Commit, s.Len())
		} else if name != "the end" && !errors.Is(err, protocol.ErrProtocol) && !errors.Is(err, snapshot.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
		l.Close()
	}
}

func TestRoom(t *testing.T) {
	kernel := guardtest.NewMemory()
	kernel.Lists[digest(1)], kernel.Most, kernel.At = 1, 77, 3
	c := dial(t, serve(t, kernel, enforcing(), os.Getuid()))
	room, err := c.Room(t.Context())
	if want := (protocol.Room{Mode: "enforce", Held: 1, Most: 77}); err != nil || room != want {
		t.Errorf("%+v, %v; want %+v", room, err, want)
	}
}
