// SPDX-License-Identifier: Apache-2.0

package object

import (
	"sync"
)

// maxQueued bounds the signals that wait for a slow bus. A program that needs every
// one reads the log; signals are for those who look now.
const maxQueued = 8192

// signal is a signal under its full name.
type signal struct {
	name   string
	values []any
}

// queue holds signals between those who must not wait and the bus.
type queue struct {
	mu      sync.Mutex
	wake    *sync.Cond
	waiting []signal
	dropped int
	closed  bool
}

func newQueue() *queue {
	q := &queue{}
	q.wake = sync.NewCond(&q.mu)
	return q
}

// push adds a signal, unless too many wait already.
func (q *queue) push(s signal) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= maxQueued {
		q.dropped++
		return
	}
	q.waiting = append(q.waiting, s)
	q.wake.Signal()
}

// take waits for signals and returns all there are and how many were dropped
// before; open is false when there will be no more.
func (q *queue) take() (waiting []signal, dropped int, open bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) == 0 && !q.closed {
		q.wake.Wait()
	}
	waiting, dropped, open = q.waiting, q.dropped, !q.closed
	q.waiting, q.dropped = nil, 0
	return waiting, dropped, open
}

// close lets take return what is left.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wake.Broadcast()
}

// sendQueued sends what is queued, in order, until the queue is closed.
func (s *Server) sendQueued() {
	for open := true; open; {
		var (
			waiting []signal
			dropped int
		)
		waiting, dropped, open = s.queue.take()
		for _, sig := range waiting {
			s.emit(sig)
		}
		if dropped > 0 {
			s.log.Warn("signals dropped: the bus is too slow", "count", dropped)
		}
	}
}

// Send queues a signal of the object's interface.
func (s *Server) Send(name string, values ...any) {
	s.queue.push(signal{s.object.Interface.Name + "." + name, values})
	s.Changed()
}
