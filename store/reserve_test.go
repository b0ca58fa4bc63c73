// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// space returns how many bytes of the disk a file takes, or fails the test.
func space(t *testing.T, path string) int64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512
}

// TestReserve: the space is there from the first start on, it can be released once, and
// comes back, at most once a minute. TestTrustEndsOnFullDisk uses it on a disk that is full.
func TestReserve(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, reserveFile)
	ix, _, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer ix.Close()
	if got := space(t, path); got < reserveSize {
		t.Errorf("%d bytes are reserved", got)
	}
	if !ix.reserve.release() || ix.reserve.release() {
		t.Error("the space can be released twice, or never")
	}
	ix.reserve.restore()
	if _, err := os.Lstat(path); err == nil {
		t.Error("the space was taken again at once")
	}
	ix.reserve.tried = time.Now().Add(-reservePause)
	ix.reserve.restore()
	if got := space(t, path); got < reserveSize || !ix.reserve.whole {
		t.Errorf("%d bytes are reserved again", got)
	}
}

// TestReserveFollowsNoLink: only a file of digestd's own takes space.
func TestReserveFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := reserve{path: filepath.Join(dir, reserveFile)}
	if err := os.Symlink(other, r.path); err != nil {
		t.Fatal(err)
	}
	r.keep()
	if data, err := os.ReadFile(other); err != nil || string(data) != "kept" || r.whole {
		t.Errorf("the other file has %d bytes (%v)", len(data), err)
	}
	if err := errors.Join(os.Remove(r.path), unix.Mkfifo(r.path, 0o600)); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { r.keep(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Error("a pipe without a reader stops digestd")
	}
}

func TestDiskFull(t *testing.T) {
	for err, want := range map[error]bool{nil: false, unix.ENOSPC: true, unix.EDQUOT: true, unix.EROFS: false} {
		if got := diskFull(fmt.Errorf("cannot write: %w", err)); got != want {
			t.Errorf("%v: %v", err, got)
		}
	}
}
