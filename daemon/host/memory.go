// SPDX-License-Identifier: Apache-2.0

package host

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// restAfter is how long nobody must have asked for anything until memory is
	// given back.
	restAfter = 15 * time.Second
	// garbageRoom is how much garbage, in bytes, may gather before it is collected,
	// however little else there is: a caller whose question falls into a collection
	// waits twice as long.
	garbageRoom = 24 << 20
	// leanPercent is the garbage, in percent of what is in use, that is allowed
	// where that is more than garbageRoom. Most of what is in use then are references to
	// files, in which a collection has nothing to follow.
	leanPercent = 20
	// firstRoom is garbageRoom before the first comparison with rpm's database is over, when
	// much garbage is made and nobody waits for an answer.
	firstRoom = 12 << 20
	// leastHeap is what the runtime takes the percentage of at least, in bytes.
	leastHeap = 4 << 20
	// FirstPercent is the percentage that a process begins with: firstRoom of leastHeap.
	FirstPercent = 100 * firstRoom / leastHeap
)

// memory keeps the process small while nobody wants anything of it, and quick
// while somebody does.
type memory struct {
	start time.Time
	used  atomic.Int64 // last, in nanoseconds since start
	Armed atomic.Bool  // somebody looks whether it is time to rest
	Rest  func()       // gives memory back; rooms call it, too, when they have used much
	once  sync.Once
	roomy atomic.Bool // the first comparison is over
}

func newMemory() *memory {
	m := &memory{start: time.Now()}
	m.Rest = m.giveBack
	return m
}

// use says that something is wanted now.
func (m *memory) use() {
	m.used.Store(int64(time.Since(m.start)))
	if m.Armed.CompareAndSwap(false, true) {
		time.AfterFunc(restAfter, m.look)
	}
}

func (m *memory) look() {
	if left := restAfter - time.Since(m.start) + time.Duration(m.used.Load()); left > 0 {
		time.AfterFunc(left, m.look)
		return
	}
	m.Armed.Store(false)
	m.Rest()
}

// giveBack returns unused memory to the system. From the first time on, which is
// after the first comparison with rpm's database, there is room for garbage.
func (m *memory) giveBack() {
	debug.FreeOSMemory()
	unmapProgram()
	m.once.Do(func() {
		m.roomy.Store(true)
		makeRoom(0)
	})
}

// BeLean bounds garbage until the first comparison with rpm's database is over, anew after
// each collection: the larger the database, the less of it. percent is what has been set.
func (m *memory) BeLean(percent int) {
	if m.roomy.Load() {
		return
	}
	percent = setPercent(percent, garbagePercent(firstRoom, inUse()))
	runtime.AddCleanup(new([32]byte), m.BeLean, percent)
}

// makeRoom makes room for garbage by what the last collection has left in use, and
// does so again after each: what is in use may grow by much. percent is what has
// been set.
func makeRoom(percent int) {
	percent = setPercent(percent, garbagePercent(garbageRoom, inUse()))
	runtime.AddCleanup(new([32]byte), makeRoom, percent)
}

// inUse is how many bytes the last collection has left in use; much, where the runtime
// does not tell.
func inUse() uint64 {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	if live[0].Value.Kind() != metrics.KindUint64 {
		return 1 << 30
	}
	return live[0].Value.Uint64()
}

// setPercent sets the percentage of garbage if it differs from what has been set, and
// returns what is set now. It stops everybody for a moment, so small differences do not
// count.
func setPercent(percent, want int) int {
	if want < percent-percent/8 || want > percent+percent/8 {
		debug.SetGCPercent(want)
		return want
	}
	return percent
}

// garbagePercent returns the value for debug.SetGCPercent that lets so many bytes of
// garbage gather beside so many in use.
func garbagePercent(room, live uint64) int {
	return int(max(room*100/max(live, leastHeap), leanPercent))
}
