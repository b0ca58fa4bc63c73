// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"sync"

	"github.com/digestd/digestd/daemon/api"
)

// maxQueued bounds the signals that wait for a slow bus. Whoever needs every
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

// send queues a signal of our interface.
func (s *Server) send(name string, values ...any) {
	s.queue.push(signal{api.Interface + "." + name, values})
	s.Changed()
}

// ListPublished tells that a list became active.
func (s *Server) ListPublished(list, nevra string) {
	s.send("ListPublished", api.Clean(list), api.Clean(nevra))
}

// ListWithdrawn tells that a list left the directory.
func (s *Server) ListWithdrawn(list, nevra, reason string) {
	s.send("ListWithdrawn", api.Clean(list), api.Clean(nevra), api.Clean(reason))
}

// RollbackRefused tells that a version was kept out.
func (s *Server) RollbackRefused(nevra, reason string) {
	s.send("RollbackRefused", api.Clean(nevra), api.Clean(reason))
}

// KeyRevoked tells that a key vouches for nothing any more, and how many lists
// left the directory with it.
func (s *Server) KeyRevoked(fingerprint, reason string, lists uint32) {
	s.send("KeyRevoked", fingerprint, api.Clean(reason), lists)
}

// Denied tells that a content, or versions of a package, must not be trusted.
func (s *Server) Denied(id, what, reason string) {
	s.send("Denied", id, api.Clean(what), api.Clean(reason))
}

// DenialLifted tells that a denial was taken back, or expired.
func (s *Server) DenialLifted(id, what, reason string) {
	s.send("DenialLifted", id, api.Clean(what), api.Clean(reason))
}

// TamperDetected tells that another hand touched the list directory.
func (s *Server) TamperDetected(name, reason string) {
	s.send("TamperDetected", api.Clean(name), api.Clean(reason))
}

// TransactionFinished tells that a package transaction ended, with the numbers
// of lists it published and withdrew.
func (s *Server) TransactionFinished(published, withdrawn uint32) {
	s.send("TransactionFinished", published, withdrawn)
}
