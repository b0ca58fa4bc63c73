// SPDX-License-Identifier: Apache-2.0

package confine

import (
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
