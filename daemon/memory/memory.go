// SPDX-License-Identifier: Apache-2.0

// Package memory keeps the process of the service small while it is idle, and fast while it answers
// requests.
package memory

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// restAfter is the time without a request after which unused memory is returned to the
	// system.
	restAfter = 15 * time.Second
	// garbageRoom is the garbage, in bytes, that may accumulate before a collection, even if
	// little else is in use: a caller whose question coincides with a collection waits twice as
	// long.
	garbageRoom = 24 << 20
	// leanPercent is the permitted garbage, in percent of the memory in use, if that is more
	// than garbageRoom. Most of the memory in use are then references to files, which a
	// collection does not follow.
	leanPercent = 20
	// firstRoom replaces garbageRoom until the end of the first comparison with rpm's database,
	// which makes much garbage while nobody waits for an answer.
	firstRoom = 12 << 20
	// leastHeap is the smallest heap, in bytes, to which the runtime applies the percentage.
	leastHeap = 4 << 20
	// FirstPercent is the percentage at the start of a process: firstRoom of leastHeap.
	FirstPercent = 100 * firstRoom / leastHeap
)

// Memory is the memory of this process.
type Memory struct {
	start time.Time
	used  atomic.Int64 // the last request, in nanoseconds since start
	Armed atomic.Bool  // a timer waits for the next time to rest
	Rest  func()       // returns memory to the system; rooms also call it after they used much
	once  sync.Once
	roomy atomic.Bool // the first comparison has ended
}

// New returns a Memory that returns unused memory to the system when it rests.
func New() *Memory {
	m := &Memory{start: time.Now()}
	m.Rest = m.giveBack
	return m
}

// Use notes a request.
func (m *Memory) Use() {
	m.used.Store(int64(time.Since(m.start)))
	if m.Armed.CompareAndSwap(false, true) {
		time.AfterFunc(restAfter, m.look)
	}
}

func (m *Memory) look() {
	if left := restAfter - time.Since(m.start) + time.Duration(m.used.Load()); left > 0 {
		time.AfterFunc(left, m.look)
		return
	}
	m.Armed.Store(false)
	m.Rest()
}

// giveBack returns unused memory to the system. The first call, after the first comparison with
// rpm's database, also raises the permitted garbage.
func (m *Memory) giveBack() {
	debug.FreeOSMemory()
	unmapProgram()
	m.once.Do(func() {
		m.roomy.Store(true)
		makeRoom(0)
	})
}

// BeLean limits garbage until the end of the first comparison with rpm's database, and adjusts
// the limit after each collection: the larger the database, the less garbage. percent is the
// current setting.
func (m *Memory) BeLean(percent int) {
	if m.roomy.Load() {
		return
	}
	percent = setPercent(percent, garbagePercent(firstRoom, inUse()))
	runtime.AddCleanup(new([32]byte), m.BeLean, percent)
}

// makeRoom sets the permitted garbage by the memory that the last collection left in use, and
// adjusts it after each further collection, since that memory may grow by much. percent is the
// current setting.
func makeRoom(percent int) {
	percent = setPercent(percent, garbagePercent(garbageRoom, inUse()))
	runtime.AddCleanup(new([32]byte), makeRoom, percent)
}

// inUse returns how many bytes the last collection left in use, or a large number if the runtime
// does not report it.
func inUse() uint64 {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	if live[0].Value.Kind() != metrics.KindUint64 {
		return 1 << 30
	}
	return live[0].Value.Uint64()
}

// setPercent sets the percentage of garbage and returns the setting. It ignores small
// differences, because a change stops all goroutines for a moment.
func setPercent(percent, want int) int {
	if want < percent-percent/8 || want > percent+percent/8 {
		debug.SetGCPercent(want)
		return want
	}
	return percent
}

// garbagePercent returns the value for debug.SetGCPercent that permits room bytes of garbage
// beside live bytes in use.
func garbagePercent(room, live uint64) int {
	return int(max(room*100/max(live, leastHeap), leanPercent))
}
