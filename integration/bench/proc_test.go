// SPDX-License-Identifier: Apache-2.0

package bench_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// status returns a size that the kernel tells of a process, in bytes
// (proc_pid_status(5)).
func status(tb testing.TB, pid int, field string) int64 {
	tb.Helper()
	n, err := statusField(fmt.Sprintf("/proc/%d/status", pid), field)
	if err != nil {
		tb.Fatal(err)
	}
	return n << 10
}

// switches returns how often the threads of a process gave up a processor, by
// sleeping or by being interrupted, which follows on a wake-up.
func switches(tb testing.TB, pid int) (sum int64) {
	tb.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(threads) == 0 {
		tb.Fatalf("cannot find threads of %d: %v", pid, err)
	}
	for _, t := range threads {
		for _, field := range []string{"voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"} {
			n, err := statusField(t, field)
			if err != nil {
				tb.Fatal(err)
			}
			sum += n
		}
	}
	return sum
}

func statusField(file, field string) (int64, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), field+":"); ok {
			return strconv.ParseInt(strings.Fields(value)[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", file, field)
}

// processor returns what processor time a process and its children have used so far, all
// threads, in user and kernel space (schedstat, in the kernel's sched-stats.rst). Processes
// that have ended do not count.
func processor(tb testing.TB, pid int) (sum time.Duration) {
	tb.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil || len(tasks) == 0 {
		tb.Fatalf("cannot find threads of %d: %v", pid, err)
	}
	for _, t := range tasks {
		data, err := os.ReadFile(filepath.Join(t, "schedstat"))
		if err != nil {
			tb.Fatal(err)
		}
		ns, err := strconv.ParseInt(strings.Fields(string(data))[0], 10, 64)
		if err != nil {
			tb.Fatal(err)
		}
		sum += time.Duration(ns)
		children, err := os.ReadFile(filepath.Join(t, "children"))
		if err != nil {
			tb.Fatal(err)
		}
		for child := range strings.FieldsSeq(string(children)) {
			n, err := strconv.Atoi(child)
			if err != nil {
				tb.Fatal(err)
			}
			sum += processor(tb, n)
		}
	}
	return sum
}
