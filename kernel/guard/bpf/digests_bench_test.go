// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkWithdrawal: 800 lists with 95,000 digests, of 100,000, are withdrawn as digestd does
// it, in one plan. It needs to be root, and a kernel that has maps. least-ns is the least time of the
// processor that one took: the rest of the machine only adds.
func BenchmarkWithdrawal(b *testing.B) {
	const all, gone = 100_000, 95_000
	s, _ := hostSet(b)
	digests := contents(0, all)
	least := time.Hour
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for b.Loop() {
		b.StopTimer()
		if err := s.Replace(all, parted(digests, 1)); err != nil {
			b.Fatal(err)
		}
		begun := processorTime(b)
		b.StartTimer()
		err := s.Expel(digests[:gone])
		least = min(least, processorTime(b)-begun)
		if err != nil || s.Len() != all-gone {
			b.Fatalf("%d digests are left, %v", s.Len(), err)
		}
	}
	b.ReportMetric(float64(least.Nanoseconds()), "least-ns")
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return time.Duration(t.Nano())
}
