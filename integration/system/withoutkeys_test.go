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

// runWithoutKeys has the kernel refuse add_key, request_key and keyctl, and runs
// what the variable names.
func runWithoutKeys(program string) error {
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
	program, args, _ := strings.Cut(program, "\n")
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0); err != nil {
		return err
	}
	os.Unsetenv(withoutKeysVariable)
	return unix.Exec(program, append([]string{program}, strings.Split(args, "\n")...), os.Environ())
}

// TestWithoutKeys: where the kernel's keys are out of reach, that is said, and all
// else works.
func TestWithoutKeys(t *testing.T) {
	m, err := newMachine(t, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	m.importKey("vendor")
	m.withoutKeys = true
	m.startDaemon()
	m.mustRPM("-U", m.mustBuild("hello-1-1.noarch"))
	m.eventually("tlv-hello-0:1-1.noarch")
	st := m.status()
	if !strings.Contains(st.Kernel.Keys, "out of reach") || st.Kernel.Release == "" {
		t.Errorf("status has %+v", st.Kernel)
	}
	for _, p := range st.Problems {
		t.Errorf("there is a problem: %+v", p)
	}
	if out, err := m.digestctl("keys", "enrol", "--ima").CombinedOutput(); err == nil || !strings.Contains(string(out), "out of reach") {
		t.Errorf("enrol says (%v):\n%s", err, out)
	}
	m.mustCtl("keys", "enrol", "--file")
	old := m.skid()
	m.mustCtl("keys", "rotate", "--reason", "test")
	m.mustCtl("keys", "revoke", m.skid(), "--reason", "test")
	m.eventually("tlv-hello-0:1-1.noarch")
	m.wholesome()
	if out := m.mustCtl("keys"); !strings.Contains(out, old) {
		t.Errorf("keys says:\n%s", out)
	}
}
