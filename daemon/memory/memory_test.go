// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestGarbagePercent(t *testing.T) {
	for _, test := range []struct {
		room, live uint64
		want       int
	}{
		{garbageRoom, 0, 600}, // of the runtime's least heap, 4 MiB
		{garbageRoom, 1 << 20, 600},
		{garbageRoom, 12 << 20, 200},
		{garbageRoom, 48 << 20, 50},
		{garbageRoom, 96 << 20, 25},
		{garbageRoom, 300 << 20, 20},
		{firstRoom, 0, FirstPercent},
		{firstRoom, 24 << 20, 50},
		{firstRoom, 100 << 20, 20},
	} {
		if got := garbagePercent(test.room, test.live); got != test.want {
			t.Errorf("room for %d bytes beside %d in use: %d %%, want %d", test.room, test.live, got, test.want)
		}
	}
}

// Memory rests once after each time of use, and wakes nobody up after that.
func TestMemoryRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rests atomic.Int32
		m := New()
		m.Rest = func() { rests.Add(1) }
		for range 10 {
			m.Use()
			time.Sleep(restAfter / 2)
		}
		synctest.Wait()
		if rests.Load() != 0 {
			t.Errorf("rested %d times while in use", rests.Load())
		}
		time.Sleep(restAfter)
		synctest.Wait()
		if rests.Load() != 1 || m.Armed.Load() {
			t.Errorf("rested %d times after use, and looks again: %v; want once", rests.Load(), m.Armed.Load())
		}
		time.Sleep(time.Hour)
		m.Use()
		time.Sleep(2 * restAfter)
		synctest.Wait()
		if rests.Load() != 2 {
			t.Errorf("rested %d times after two times of use", rests.Load())
		}
	})
}

// permitted returns the garbage that the runtime permits, in percent.
func permitted(t *testing.T) int {
	t.Helper()
	limit := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(limit)
	if limit[0].Value.Kind() != metrics.KindUint64 {
		t.Fatal("the runtime does not report the percentage")
	}
	return int(limit[0].Value.Uint64())
}

// A small difference is not worth the moment for which a change stops all goroutines.
func TestSetPercent(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	for _, test := range []struct{ now, wanted, want int }{{100, 112, 100}, {100, 88, 100}, {100, 113, 113}, {113, 98, 98}, {0, 600, 600}} {
		debug.SetGCPercent(test.now)
		if got := setPercent(test.now, test.wanted); got != test.want || permitted(t) != test.want {
			t.Errorf("%d %%, of which %d are wanted: %d, the runtime has %d; want %d", test.now, test.wanted, got, permitted(t), test.want)
		}
	}
}

// rested says that a run in this process has ended its first comparison: the percentage follows
// each collection from then on.
var rested bool

// There is little garbage until the first comparison has ended, more of it afterwards, and
// less again where much memory is in use.
func TestRoomForGarbage(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(1000))
	runtime.GC()
	m := New()
	m.BeLean(1000)
	if got := permitted(t); got > FirstPercent && !rested {
		t.Errorf("before the first comparison %d %% are permitted, more than %d", got, FirstPercent)
	}
	m.Rest()
	rested = true
	roomy := permitted(t)
	if roomy <= FirstPercent {
		t.Errorf("after it %d %% are permitted, no more than %d", roomy, FirstPercent)
	}
	m.BeLean(roomy)
	if got := permitted(t); got != roomy {
		t.Errorf("a limit of before the first comparison makes them %d", got)
	}
	used := make([]byte, 96<<20)
	for began := time.Now(); permitted(t) > 30; time.Sleep(time.Millisecond) {
		runtime.GC() // after which the runtime calls back
		if time.Since(began) > time.Minute {
			t.Fatalf("%d %% are permitted beside %d bytes in use", permitted(t), inUse())
		}
	}
	runtime.KeepAlive(used)
}
