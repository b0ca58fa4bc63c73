// SPDX-License-Identifier: Apache-2.0

package memory

import (
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
