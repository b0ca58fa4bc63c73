// SPDX-License-Identifier: Apache-2.0

package rpmdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// ndbLockTimeout bounds the wait for rpm, which holds its lock while it writes
// one header, not for a whole transaction.
const (
	ndbLockTimeout = 10 * time.Second
	ndbLockRetry   = 5 * time.Millisecond
)

type ndbSource struct {
	f     *os.File
	state ndbState
	slots []ndbSlot // of state
}

func openNDB(path string) (*ndbSource, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &ndbSource{f: f}, nil
}

func (s *ndbSource) close() error { return s.f.Close() }

func (s *ndbSource) read(ctx context.Context, after uint32, b *batch) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	return errors.Join(s.fill(after, b), s.unlock())
}

func (s *ndbSource) fill(after uint32, b *batch) error {
	fi, err := s.f.Stat()
	if err != nil {
		return err
	}
	state, err := readNDBState(s.f, fi.Size())
	if err != nil {
		return err
	}
	if s.slots == nil || s.state != state {
		if s.slots, err = readNDBSlots(s.f, fi.Size(), state.pages); err != nil {
			return err
		}
		s.state = state
	}
	first, _ := slices.BinarySearchFunc(s.slots, after, func(s ndbSlot, after uint32) int {
		if s.pkg <= after {
			return -1
		}
		return 1
	})
	for _, slot := range s.slots[first:] {
		if b.full() {
			break
		}
		data, items := len(b.data), len(b.items)
		err := readNDBBlob(s.f, slot, b)
		if errno := unix.Errno(0); errors.As(err, &errno) {
			return fmt.Errorf("header %d: %w", slot.pkg, err) // the disk's fault, not the header's
		}
		if err != nil {
			b.data, b.items = b.data[:data], b.items[:items]
			b.add(slot.pkg, nil)
		}
	}
	return nil
}

// lock takes the lock that rpm takes to read, and gives up in time.
func (s *ndbSource) lock(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, ndbLockTimeout,
		fmt.Errorf("it was locked for %v", ndbLockTimeout))
	defer cancel()
	retry := time.NewTicker(ndbLockRetry)
	defer retry.Stop()
	for {
		err := unix.Flock(int(s.f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
		if err == nil || err != unix.EWOULDBLOCK && err != unix.EINTR {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-retry.C:
		}
	}
}

func (s *ndbSource) unlock() error { return unix.Flock(int(s.f.Fd()), unix.LOCK_UN) }
