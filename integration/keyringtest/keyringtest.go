// SPDX-License-Identifier: Apache-2.0

// Package keyringtest gives tests a keyring of the kernel that runs: _ima, by
// which IMA verifies where the kernel has no keyring of its own for that. It is
// root's, one for the machine, and so one test has it at a time.
package keyringtest

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/digestd/digestd/integration/needs"
	"golang.org/x/sys/unix"
)

// IMA makes an empty _ima, gone after the test, and returns its number. Without root it
// skips the test, and where keys are out of reach.
func IMA(tb testing.TB) (id int) {
	tb.Helper()
	needs.Root(tb)
	lock, err := os.OpenFile(filepath.Join(os.TempDir(), "digestd-test-keyring"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		tb.Fatal(err)
	}
	unlink := func() {
		InRootsSession(func() { unix.KeyctlInt(unix.KEYCTL_UNLINK, id, unix.KEY_SPEC_USER_KEYRING, 0, 0) })
		lock.Close()
	}
	InRootsSession(func() { id, err = unix.AddKey("keyring", "_ima", nil, unix.KEY_SPEC_USER_KEYRING) })
	if err != nil {
		lock.Close()
		tb.Skipf("the kernel's keys are out of reach here: %v", err)
	}
	tb.Cleanup(unlink)
	return id
}

// InRootsSession runs fn where root's own keyring is in reach, whatever session
// the test is in.
func InRootsSession(fn func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: what the thread can reach goes with it
		unix.KeyctlInt(unix.KEYCTL_LINK, unix.KEY_SPEC_USER_KEYRING, unix.KEY_SPEC_THREAD_KEYRING, 0, 0)
		fn()
	}()
	<-done
}
