// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"fmt"
	"time"

	"github.com/cilium/ebpf/ringbuf"

	"github.com/digestd/digestd/kernel/guard"
)

// Events reads the guard's events. There must be only one reader, because an event goes to one
// reader only.
type Events struct{ r *ringbuf.Reader }

// Events opens the buffer of events. It stays open when s is closed.
func (s *Set) Events() (*Events, error) {
	r, err := ringbuf.NewReader(s.maps[guardMapEvents])
	if err != nil {
		return nil, fmt.Errorf("cannot read the guard's events: %w", err)
	}
	return &Events{r: r}, nil
}

// Next waits for an event until the time then, or without limit if then is zero. The error is
// os.ErrDeadlineExceeded if none came in time, and os.ErrClosed after Close.
func (e *Events) Next(then time.Time) (*guard.Event, error) {
	e.r.SetDeadline(then)
	record, err := e.r.Read()
	if err != nil {
		return nil, fmt.Errorf("cannot read the guard's events: %w", err)
	}
	return guard.ParseEvent(record.RawSample)
}

// Close also ends a Next in progress.
func (e *Events) Close() error { return e.r.Close() }
