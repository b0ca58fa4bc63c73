// SPDX-License-Identifier: Apache-2.0

package kernel_test

import (
	"errors"
	"testing"
	"time"

	"github.com/digestd/digestd/kernel"
	"golang.org/x/sys/unix"
)

func wallTimer(t *testing.T) *kernel.WallTimer {
	t.Helper()
	w, err := kernel.NewWallTimer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// TestWallTimer: it fires at its time, not before, again after each Set, and at once
// for a time that has passed.
func TestWallTimer(t *testing.T) {
	w := wallTimer(t)
	for _, wait := range []time.Duration{50 * time.Millisecond, 0, -time.Hour, 20 * time.Millisecond} {
		at := time.Now().Add(wait)
		if err := w.Set(at); err != nil {
			t.Fatal(err)
		}
		select {
		case come := <-w.C:
			if early := time.Until(at); !come || early > time.Millisecond {
				t.Errorf("after %v: come %v, %v early", wait, come, early)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("after %v: nothing came", wait)
		}
	}
	if err := w.Set(time.Time{}); err != nil {
		t.Fatal(err)
	}
	select {
	case come := <-w.C:
		t.Errorf("without a time it said %v", come)
	case <-time.After(50 * time.Millisecond):
	}
	w.Close()
	if _, open := <-w.C; open {
		t.Error("a closed timer says something")
	}
}

// TestWallTimerHearsOfClockSet sets the clock to what it is.
func TestWallTimerHearsOfClockSet(t *testing.T) {
	for _, at := range []time.Time{{}, time.Now().Add(time.Hour)} {
		w := wallTimer(t)
		if err := w.Set(at); err != nil {
			t.Fatal(err)
		}
		var now unix.Timespec
		err := unix.ClockGettime(unix.CLOCK_REALTIME, &now)
		if err == nil {
			err = unix.ClockSettime(unix.CLOCK_REALTIME, &now)
		}
		if errors.Is(err, unix.EPERM) {
			t.Skip("this process must not set the clock")
		}
		if err != nil {
			t.Fatal(err)
		}
		select {
		case come := <-w.C:
			if come {
				t.Error("it took the clock being set for the time having come")
			}
		case <-time.After(10 * time.Second):
			t.Fatal("it did not hear that the clock was set")
		}
	}
}
