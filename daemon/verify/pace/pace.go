// SPDX-License-Identifier: Apache-2.0

// Package pace lets a verification in the background use only the processor and disk time that
// nobody else wants.
package pace

import (
	"bytes"
	"context"
	"os"
	"strconv"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Of sched(7) and ioprio_set(2).
const (
	schedIdle        = 5
	ioprioWhoProcess = 1
	ioprioIdle       = 3 << 13
)

// GiveWay gives this process the lowest priority on processors and disks. Later threads inherit
// it. It ignores errors: the Pacer still pauses.
func GiveWay() {
	for range 2 { // a thread may have started meanwhile
		threads, _ := os.ReadDir("/proc/self/task")
		for _, t := range threads {
			id, err := strconv.Atoi(t.Name())
			if err != nil {
				continue
			}
			unix.Setpriority(unix.PRIO_PROCESS, id, 19)
			schedSetIdle(id)
			unix.Syscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, uintptr(id), ioprioIdle)
		}
	}
}

// Pacer pauses while other processes wait for processors or disks, by the kernel's pressure
// information if it is available. A nil Pacer never pauses.
type Pacer struct {
	mu     sync.Mutex
	looked time.Time
	paused time.Time // until then
}

const (
	lookTime  = time.Second            // between two looks at the pressure
	pauseTime = 700 * time.Millisecond // part of lookTime to pause, under pressure
	pressed   = 20.0                   // percent of time in which some process waited
)

// Wait returns when work may continue.
func (p *Pacer) Wait(ctx context.Context) {
	if p == nil {
		return
	}
	p.mu.Lock()
	now := time.Now()
	if now.Sub(p.looked) >= lookTime {
		p.looked = now
		if pressure("/proc/pressure/cpu") > pressed || pressure("/proc/pressure/io") > pressed {
			p.paused = now.Add(pauseTime)
		}
	}
	pause := p.paused.Sub(now)
	p.mu.Unlock()
	if pause <= 0 {
		return
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// pressure returns the percentage of the last ten seconds in which some process waited, or 0 if
// the kernel does not report it.
func pressure(file string) float64 {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(data, []byte("some avg10="))
	text, _, _ := bytes.Cut(rest, []byte(" "))
	share, _ := strconv.ParseFloat(string(text), 64)
	return share
}

// schedSetIdle makes a thread run only when no other thread wants to.
func schedSetIdle(thread int) {
	param := struct{ priority int32 }{}
	unix.Syscall(unix.SYS_SCHED_SETSCHEDULER, uintptr(thread), schedIdle, uintptr(unsafe.Pointer(&param)))
}
