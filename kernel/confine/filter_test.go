// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package confine

import (
	"errors"
	"math"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// decide runs a filter over a system call as the kernel does, and returns its result.
func decide(t *testing.T, program []unix.SockFilter, architecture, number uint32) uint32 {
	t.Helper()
	var loaded uint32
	for i := 0; i < len(program); i++ {
		switch in := program[i]; {
		case in.Code == unix.BPF_LD|unix.BPF_W|unix.BPF_ABS && in.K == architectureAt:
			loaded = architecture
		case in.Code == unix.BPF_LD|unix.BPF_W|unix.BPF_ABS && in.K == numberAt:
			loaded = number
		case in.Code == unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K && loaded == in.K:
			i += int(in.Jt)
		case in.Code == unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K:
			i += int(in.Jf)
		case in.Code == unix.BPF_RET|unix.BPF_K:
			return in.K
		default:
			t.Fatalf("instruction %d is %+v", i, in)
		}
	}
	t.Fatal("the filter has no end")
	return 0
}

// A confined process can make the calls of the table in its own architecture, and no others.
func TestFilter(t *testing.T) {
	const refused = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	program := filter()
	if len(calls) > math.MaxUint8 {
		t.Fatalf("%d calls: a jump of the filter reaches %d instructions", len(calls), math.MaxUint8)
	}
	own := architectures[runtime.GOARCH]
	for number := range uint32(1024) {
		want := refused
		if slices.Contains(calls, number) {
			want = unix.SECCOMP_RET_ALLOW
		}
		if got := decide(t, program, own, number); got != want {
			t.Errorf("call %d: %#x, want %#x", number, got, want)
		}
		for _, other := range []uint32{0, unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_ARM, unix.AUDIT_ARCH_RISCV64} {
			if got := decide(t, program, other, number); got != refused {
				t.Errorf("call %d of architecture %#x: %#x", number, other, got)
			}
		}
		const x32 = 1 << 30 // marks the calls of a second interface of amd64
		if got := decide(t, program, own, number|x32); got != refused {
			t.Errorf("call %d of x32: %#x", number, got)
		}
	}
}

// The table has no call that opens, connects, executes, or reaches another process.
func TestCalls(t *testing.T) {
	for name, call := range map[string]uint32{
		"openat": unix.SYS_OPENAT, "openat2": unix.SYS_OPENAT2, "open_by_handle_at": unix.SYS_OPEN_BY_HANDLE_AT, "unlinkat": unix.SYS_UNLINKAT,
		"renameat2": unix.SYS_RENAMEAT2, "linkat": unix.SYS_LINKAT, "mknodat": unix.SYS_MKNODAT, "fchmodat": unix.SYS_FCHMODAT, "ftruncate": unix.SYS_FTRUNCATE,
		"memfd_create": unix.SYS_MEMFD_CREATE, "socket": unix.SYS_SOCKET, "socketpair": unix.SYS_SOCKETPAIR, "connect": unix.SYS_CONNECT, "bind": unix.SYS_BIND,
		"sendmsg": unix.SYS_SENDMSG, "recvmsg": unix.SYS_RECVMSG, "execve": unix.SYS_EXECVE, "execveat": unix.SYS_EXECVEAT, "ptrace": unix.SYS_PTRACE,
		"process_vm_writev": unix.SYS_PROCESS_VM_WRITEV, "pidfd_getfd": unix.SYS_PIDFD_GETFD, "kill": unix.SYS_KILL, "io_uring_setup": unix.SYS_IO_URING_SETUP,
		"bpf": unix.SYS_BPF, "mount": unix.SYS_MOUNT, "setns": unix.SYS_SETNS, "unshare": unix.SYS_UNSHARE, "prlimit64": unix.SYS_PRLIMIT64, "ioctl": unix.SYS_IOCTL,
	} {
		if slices.Contains(calls, call) {
			t.Errorf("a confined process can call %s", name)
		}
	}
}

// A filter that the kernel does not take is an error, and nothing is filtered.
func TestInstall(t *testing.T) {
	const most = 4096 // instructions, BPF_MAXINSNS
	program := slices.Repeat([]unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_KILL_PROCESS}}, most+1)
	if err := install(program); !errors.Is(err, unix.EINVAL) || err.Error() != "cannot filter system calls: invalid argument" {
		t.Error(err)
	}
}
