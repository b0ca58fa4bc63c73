// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// withoutKeysVariable is set in the process that starts a daemon as containers
// do: keys are none of its business.
const withoutKeysVariable = "DIGESTD_TEST_WITHOUT_KEYS"

// runWithoutKeys has the kernel refuse add_key, request_key and keyctl, and executes a
// program. It returns only if it cannot.
func runWithoutKeys(args []string) error {
	runtime.LockOSThread()
	code := func(code, k int, jt, jf uint8) unix.SockFilter {
		return unix.SockFilter{Code: uint16(code), Jt: jt, Jf: jf, K: uint32(k)}
	}
	filter := []unix.SockFilter{
		code(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, 0, 0, 0), // the number of the call
		code(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, unix.SYS_ADD_KEY, 2, 0),
		code(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, unix.SYS_REQUEST_KEY, 1, 0),
		code(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, unix.SYS_KEYCTL, 0, 1),
		code(unix.BPF_RET|unix.BPF_K, unix.SECCOMP_RET_ERRNO|int(unix.EPERM), 0, 0),
		code(unix.BPF_RET|unix.BPF_K, unix.SECCOMP_RET_ALLOW, 0, 0),
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0); err != nil {
		return err
	}
	os.Unsetenv(withoutKeysVariable)
	return unix.Exec(args[0], args, os.Environ())
}

// TestWithoutKeys: where the kernel's keys are out of reach, that is said, and all
// else works.
func TestWithoutKeys(t *testing.T) {
	m := newMachine(t)
	m.importKey("vendor")
	self, err := os.Executable()
	m.OK(err)
	m.Wrap = []string{"env", withoutKeysVariable + "=1", self}
	m.Start()
	m.RPM("-U", m.build("hello-1-1.noarch"))
	m.WantLists("tlv-hello-0:1-1.noarch")
	st := m.Status()
	if !strings.Contains(st.Kernel.Keys, "out of reach") || st.Kernel.Release == "" {
		t.Errorf("status has %+v", st.Kernel)
	}
	for _, p := range st.Problems {
		t.Errorf("there is a problem: %+v", p)
	}
	if out, err := m.Digestctl("keys", "enrol", "--ima").CombinedOutput(); err == nil || !strings.Contains(string(out), "out of reach") {
		t.Errorf("enrol says (%v):\n%s", err, out)
	}
	m.Must("keys", "enrol", "--file")
	old := m.skid()
	m.Must("keys", "rotate", "--reason", "test")
	m.Must("keys", "revoke", m.skid(), "--reason", "test")
	m.WantLists("tlv-hello-0:1-1.noarch")
	m.Wholesome()
	if out := m.Must("keys"); !strings.Contains(out, old) {
		t.Errorf("keys says:\n%s", out)
	}
}
