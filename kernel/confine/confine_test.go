// SPDX-License-Identifier: Apache-2.0

package confine

import (
	"errors"
	"maps"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

const confined = "confined"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == confined {
		os.Exit(try())
	}
	os.Exit(m.Run())
}

// try does, confined, what such a process must not and what it may.
func try() int {
	if Process(map[int]uint64{1 << 20: 1}) == nil {
		return 1 // there is no such limit
	}
	if Process(map[int]uint64{unix.RLIMIT_CPU: 10}) != nil {
		return 2
	}
	if _, err := os.Open("/etc/passwd"); err == nil {
		return 3
	}
	if _, err := os.StartProcess("/bin/true", []string{"true"}, &os.ProcAttr{}); err == nil {
		return 4
	}
	if _, err := net.Dial("tcp", "127.0.0.1:1"); err == nil {
		return 5
	}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_CPU, &limit) == nil {
		return 6 // it needs that no more
	}
	if _, err := os.Stdout.Write(make([]byte, 1<<20)); err != nil {
		return 7
	}
	return 0
}

func TestProcess(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	p, err := os.StartProcess("/proc/self/exe", []string{"test", confined}, &os.ProcAttr{Files: []*os.File{null, null, os.Stderr}})
	if err != nil {
		t.Fatal(err)
	}
	if st, err := p.Wait(); err != nil || st.ExitCode() != 0 {
		t.Errorf("%v, %v", st, err)
	}
}

func TestLimits(t *testing.T) {
	asked := map[int]uint64{unix.RLIMIT_CPU: 10}
	want := map[int]uint64{unix.RLIMIT_CPU: 10, unix.RLIMIT_FSIZE: 0, unix.RLIMIT_CORE: 0}
	if got := withDefaults(asked); !maps.Equal(got, want) || len(asked) != 1 {
		t.Errorf("%v of %v, want %v", got, asked, want)
	}
	// These tests need no core dumps.
	if err := restrict(map[int]uint64{unix.RLIMIT_CORE: 0}); err != nil {
		t.Fatal(err)
	}
	limit := unix.Rlimit{Cur: 1, Max: 1}
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil || limit != (unix.Rlimit{}) {
		t.Errorf("%+v, %v", limit, err)
	}
	if err := restrict(map[int]uint64{1 << 20: 1}); !errors.Is(err, unix.EINVAL) || err.Error() != "cannot limit resource 1048576: invalid argument" {
		t.Errorf("a resource that does not exist: %v", err)
	}
}
