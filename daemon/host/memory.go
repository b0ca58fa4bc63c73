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
	// FirstPercent is that before the first comparison with rpm's database is over, of
	// which little stays.
	FirstPercent = 50
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
	percent = setPercent(percent, min(garbagePercent(inUse()), FirstPercent))
	runtime.AddCleanup(new([32]byte), m.BeLean, percent)
}

// makeRoom makes room for garbage by what the last collection has left in use, and
// does so again after each: what is in use may grow by much. percent is what has
// been set.
func makeRoom(percent int) {
	percent = setPercent(percent, garbagePercent(inUse()))
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

// garbagePercent returns the value for debug.SetGCPercent that lets garbageRoom
// gather beside so many bytes in use.
func garbagePercent(live uint64) int {
	const least = 4 << 20 // of which the runtime takes the percentage at least
	return int(max(garbageRoom*100/max(live, least), leanPercent))
}
