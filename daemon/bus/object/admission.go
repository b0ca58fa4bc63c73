// SPDX-License-Identifier: Apache-2.0

package object

import (
	"context"
	"sync"

	"github.com/digestd/digestd/daemon/api"
)

// The largest numbers of calls in progress: of one connection, of one ordinary user, of all
// ordinary users, and in all. More are turned away at once. Most calls in progress wait for
// their turn, which costs a few kilobytes each.
const (
	MaxCallsEach     = 32
	MaxCallsUser     = 128
	maxCallsOrdinary = 2048
	maxCalls         = 4096
)

// The largest sums of the arguments of calls in progress, in bytes: of one ordinary user, and of
// all ordinary users. Calls with few bytes do not count: they never wait for the long ones of others.
const (
	fewBytes         = 16 << 10
	maxBytesUser     = 32 << 20
	maxBytesOrdinary = 64 << 20
)

// MaxTurns is how many calls of ordinary users are answered at the same time, and
// at most one of each user.
const MaxTurns = 2

// admission counts the calls in progress, so that one caller's flood does not delay
// the others, and ordinary users do not delay root.
type admission struct {
	mu       sync.Mutex
	each     map[string]int // by connection
	total    int
	users    map[uint32]usage // by ordinary user
	ordinary usage
	turns    turns
}

// usage is what calls in progress take.
type usage struct{ calls, bytes int }

func (u usage) plus(calls, bytes int) usage { return usage{u.calls + calls, u.bytes + bytes} }

// fits reports whether another call may come.
func (u usage) fits(bytes, maxCalls, maxBytes int) bool {
	return u.calls < maxCalls && (bytes == 0 || u.bytes+bytes <= maxBytes)
}

var errCrowded = &api.Error{Code: api.Busy, Message: "too many calls are in progress", Advice: "wait until some of them have returned"}

// enter admits a call before it is known who calls.
func (a *admission) enter(sender string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.total >= maxCalls || a.each[sender] >= MaxCallsEach {
		return errCrowded
	}
	if a.each == nil {
		a.each, a.users = map[string]int{}, map[uint32]usage{}
	}
	a.total++
	a.each[sender]++
	return nil
}

func (a *admission) leave(sender string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.total--
	if a.each[sender]--; a.each[sender] == 0 {
		delete(a.each, sender)
	}
}

// enterUser admits a call that enter did, when it is known whose it is, with arguments of a
// size.
func (a *admission) enterUser(by api.Actor, bytes int) (leave func(), err error) {
	if by.Privileged() {
		return func() {}, nil
	}
	if bytes <= fewBytes {
		bytes = 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.ordinary.fits(bytes, maxCallsOrdinary, maxBytesOrdinary) || !a.users[by.UID].fits(bytes, MaxCallsUser, maxBytesUser) {
		return nil, errCrowded
	}
	a.ordinary = a.ordinary.plus(1, bytes)
	a.users[by.UID] = a.users[by.UID].plus(1, bytes)
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.ordinary = a.ordinary.plus(-1, -bytes)
		if a.users[by.UID] = a.users[by.UID].plus(-1, -bytes); a.users[by.UID].calls == 0 {
			delete(a.users, by.UID)
		}
	}, nil
}

// turns lets a few ordinary users at a time have a call answered. The user whose last turn is
// longest ago is next, regardless of the number of calls: transactions share the processors
// with no more than these.
type turns struct {
	mu      sync.Mutex
	serial  uint64
	running map[uint32]bool   // users whose turn it is
	last    map[uint32]uint64 // turn of users who wait
	waiting []*turn           // in the order in which they came
}

type turn struct {
	uid   uint32
	ready chan struct{}
}

// take waits for a turn; done ends it.
func (t *turns) take(ctx context.Context, uid uint32) (done func(), err error) {
	next := &turn{uid, make(chan struct{})}
	t.mu.Lock()
	if t.running == nil {
		t.running, t.last = map[uint32]bool{}, map[uint32]uint64{}
	}
	t.waiting = append(t.waiting, next)
	t.fill()
	t.mu.Unlock()
	select {
	case <-next.ready:
		return func() { t.end(uid) }, nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, w := range t.waiting {
		if w == next {
			t.waiting = append(t.waiting[:i], t.waiting[i+1:]...)
			return nil, errCrowded
		}
	}
	return func() { t.end(uid) }, nil // it came at the last moment
}

func (t *turns) end(uid uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.running, uid)
	t.fill()
}

// fill gives turns to those who may have them.
func (t *turns) fill() {
	for len(t.running) < MaxTurns {
		best := -1
		for i, w := range t.waiting {
			if !t.running[w.uid] && (best < 0 || t.last[w.uid] < t.last[t.waiting[best].uid]) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		w := t.waiting[best]
		t.waiting = append(t.waiting[:best], t.waiting[best+1:]...)
		t.serial++
		t.running[w.uid], t.last[w.uid] = true, t.serial
		close(w.ready)
	}
	if len(t.waiting) == 0 {
		clear(t.last)
	}
}
