// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/digestd/digestd/integration/needs"
)

// A key is from another machine if it was first seen under another ID, or under none.
func TestForeignKey(t *testing.T) {
	state, etc := t.TempDir(), t.TempDir()
	f := Files{Dir: state, MachineID: filepath.Join(etc, "machine-id")}
	at := func(id string) error {
		t.Helper()
		write(t, f.MachineID, []byte(id), 0o644)
		found, err := f.Load(t.Context(), slog.New(slog.DiscardHandler), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return found.Foreign
	}
	foreign := func(id string, want bool) {
		t.Helper()
		err := at(id)
		if e := (*Elsewhere)(nil); errors.As(err, &e) != want || !want && err != nil {
			t.Errorf("on %q: %v", id, err)
		}
	}
	const one, two = "0123456789abcdef0123456789abcdef\n", "fedcba9876543210fedcba9876543210\n"
	foreign(one, false)
	foreign(one, false)
	if data := string(content(t, filepath.Join(state, MachineFile))); strings.Contains(data, strings.TrimSpace(one)) {
		t.Errorf("the ID of the machine is in %q", data)
	}
	foreign(two, true)
	foreign(two, true)
	foreign("", true)
	foreign(one, false)

	// Another key is this machine's, at once.
	if _, err := f.Prepare(t.Context(), time.Now(), func() {}); err != nil {
		t.Fatal(err)
	}
	write(t, f.MachineID, []byte(two), 0o644)
	if _, err := f.Follow(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	foreign(one, true)
	foreign(two, false)

	// The owner may say that it is no other machine's.
	if err := os.Remove(filepath.Join(state, MachineFile)); err != nil {
		t.Fatal(err)
	}
	foreign(one, false)

	// What the key of an image is on a machine.
	for _, none := range []string{"", "uninitialized\n"} {
		f.Dir = t.TempDir()
		foreign(none, false)
		foreign(one, true)
	}
	f.Dir = t.TempDir()
	if err := os.Remove(f.MachineID); err != nil {
		t.Fatal(err)
	}
	if found, err := f.Load(t.Context(), slog.New(slog.DiscardHandler), time.Now()); err != nil || found.Foreign != nil {
		t.Errorf("without an ID: %v, %v", found.Foreign, err)
	}
	foreign(two, false)

	// What cannot be read keeps nobody waiting, and no key from signing.
	if err := errors.Join(os.Remove(f.MachineID), unix.Mkfifo(f.MachineID, 0o644)); err != nil {
		t.Fatal(err)
	}
	if found, err := f.Load(t.Context(), slog.New(slog.DiscardHandler), time.Now()); err != nil || found.Foreign == nil || errors.As(found.Foreign, new(*Elsewhere)) {
		t.Errorf("with a FIFO for an ID: %v, %v", found.Foreign, err)
	}
}

// An ID that lasts until the next start says nothing about a key.
func TestPassingMachineID(t *testing.T) {
	needs.Root(t)
	dir := t.TempDir()
	f := Files{Dir: t.TempDir(), MachineID: filepath.Join(dir, "machine-id")}
	write(t, f.MachineID, nil, 0o644)
	other, err := os.MkdirTemp("/dev/shm", "machine-id-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(other)
	write(t, filepath.Join(other, "id"), []byte("0123456789abcdef0123456789abcdef\n"), 0o644)
	if err := unix.Mount(filepath.Join(other, "id"), f.MachineID, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(f.MachineID, unix.MNT_DETACH)
	if found, err := f.Load(t.Context(), slog.New(slog.DiscardHandler), time.Now()); err != nil || found.Foreign != nil {
		t.Error(found.Foreign, err)
	}
	if _, err := os.Lstat(filepath.Join(f.Dir, MachineFile)); err == nil {
		t.Error("it was recorded")
	}
}
