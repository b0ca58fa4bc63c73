// SPDX-License-Identifier: Apache-2.0

package listdir_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/digestd/digestd/store/listdir"
	"golang.org/x/sys/unix"
)

// heldIn returns the inodes below dir that this process has an O_PATH descriptor of.
func heldIn(t *testing.T, dir string) (held []uint64) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		path := filepath.Join("/proc/self/fd", fd.Name())
		target, err := os.Readlink(path)
		if err != nil || !strings.HasPrefix(target, dir) {
			continue
		}
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFREG {
			held = append(held, st.Ino)
		}
	}
	slices.Sort(held)
	return held
}

func wantHeld(t *testing.T, path string, what string, want ...uint64) {
	t.Helper()
	slices.Sort(want)
	if got := heldIn(t, path); !slices.Equal(got, want) {
		t.Fatalf("%s: inodes %v are held, want %v", what, got, want)
	}
}

func TestListsAreHeldWhileTheyAreThere(t *testing.T) {
	d, path := openDir(t)
	publish(t, d, "tlv-a", "one")
	publish(t, d, "tlv-b", "two")
	a, b := inodeOf(t, filepath.Join(path, "tlv-a")), inodeOf(t, filepath.Join(path, "tlv-b"))
	wantHeld(t, path, "published", a, b)

	publish(t, d, "tlv-a", "three")
	if again := inodeOf(t, filepath.Join(path, "tlv-a")); again == a {
		t.Fatal("the list was not replaced")
	} else {
		a = again
	}
	wantHeld(t, path, "replaced", a, b)

	s, err := d.Stager("keep").Write([]byte("four"))
	if err != nil {
		t.Fatal(err)
	}
	old, err := d.PublishKeeping(s, "tlv-a")
	if err != nil {
		t.Fatal(err)
	}
	next := inodeOf(t, filepath.Join(path, "tlv-a"))
	wantHeld(t, path, "replaced and kept", a, b, next)
	if err := d.Publish(old, "tlv-a", true); err != nil {
		t.Fatal(err)
	}
	wantHeld(t, path, "put back", a, b)

	if err := d.Remove("tlv-a"); err != nil {
		t.Fatal(err)
	}
	wantHeld(t, path, "removed", b)
	out, err := d.TakeOut("tlv-b")
	if err != nil {
		t.Fatal(err)
	}
	wantHeld(t, path, "taken out", b)
	d.Discard(out)
	wantHeld(t, path, "discarded")

	publish(t, d, "tlv-c", "five")
	if _, err := d.Quarantine("tlv-c", "x"); err != nil {
		t.Fatal(err)
	}
	wantHeld(t, path, "in quarantine")
	publish(t, d, "tlv-d", "six")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	wantHeld(t, path, "closed")
}

func TestHold(t *testing.T) {
	d, path := openDir(t)
	publish(t, d, "tlv-a", "one")
	publish(t, d, "tlv-b", "two")
	if fresh, err := d.Hold([]string{"tlv-a", "tlv-b", "tlv-absent"}); err != nil || len(fresh) > 0 {
		t.Fatalf("lists that were held all the time are called fresh: %q, %v", fresh, err)
	}
	d.Close()

	d, err := listdir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	fresh, err := d.Hold([]string{"tlv-a", "tlv-b"})
	if err != nil || !slices.Equal(fresh, []string{"tlv-a", "tlv-b"}) {
		t.Fatalf("after a start: %q, %v", fresh, err)
	}
	// Another program puts a file in the place of one.
	other := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, filepath.Join(path, "tlv-a")); err != nil {
		t.Fatal(err)
	}
	if fresh, err = d.Hold([]string{"tlv-a", "tlv-b"}); err != nil || !slices.Equal(fresh, []string{"tlv-a"}) {
		t.Fatalf("after a rename over a list: %q, %v", fresh, err)
	}
	// One that is wanted no more is released.
	if _, err = d.Hold([]string{"tlv-b"}); err != nil {
		t.Fatal(err)
	}
	wantHeld(t, path, "one of two wanted", inodeOf(t, filepath.Join(path, "tlv-b")))
}

// Without descriptors, lists are published as ever, and are known not to be held.
func TestListsThatCannotBeHeld(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	few := limit
	path := filepath.Join(t.TempDir(), "lists")
	restore := func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
	}
	few.Cur = 64
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		restore()
		t.Fatal(err)
	}
	d, err := listdir.Open(path)
	restore()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var all []string
	for i := range 40 {
		all = append(all, "tlv-list-"+string(rune('A'+i)))
		publish(t, d, all[i], "content")
	}
	slices.Sort(all)
	if got := len(heldIn(t, path)); got != 32 {
		t.Errorf("%d of 64 descriptors hold lists, want 32", got)
	}
	if _, err := d.Hold(all); err == nil || len(d.Unheld()) != 8 {
		t.Errorf("%v; not held: %q", err, d.Unheld())
	}
	for _, name := range all {
		if err := d.Remove(name); err != nil {
			t.Error(err)
		}
	}
	if left := d.Unheld(); len(left) > 0 {
		t.Errorf("lists that are gone are called unheld: %q", left)
	}
	wantHeld(t, path, "all removed")
}

// fdSize returns for how many descriptors the kernel has room (FDSize in proc_pid_status(5)).
func fdSize(t *testing.T) int {
	t.Helper()
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "\nFDSize:")
	text, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestRoomForDescriptors: no list that is held has to wait until the kernel doubles its table. The
// table of a process never shrinks, so that a process of its own opens the directory.
func TestRoomForDescriptors(t *testing.T) {
	const place = "LISTDIR_TEST_ROOM"
	if path := os.Getenv(place); path != "" {
		d, err := listdir.Open(path)
		if err == nil {
			err = d.Close()
		}
		if got := fdSize(t); err != nil || got < 1024 {
			t.Errorf("room for %d descriptors after a start, %v", got, err)
		}
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run", "^TestRoomForDescriptors$")
	cmd.Env = append(os.Environ(), place+"="+filepath.Join(t.TempDir(), "lists"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
