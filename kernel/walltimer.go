// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// WallTimer waits for times of the wall clock, also across a suspend, and notices when the clock
// is set. The clock of time.Timer does neither.
type WallTimer struct {
	C <-chan bool // receives after each Set: true if the time has come, false if the clock was set

	fd int
	f  *os.File
}

// NewWallTimer returns a timer that is not set. Close it after use.
func NewWallTimer() (*WallTimer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("cannot create a timer: %w", err)
	}
	c := make(chan bool, 1)
	t := &WallTimer{C: c, fd: fd, f: os.NewFile(uintptr(fd), "timerfd")}
	go t.read(c)
	return t, nil
}

// read sends the timer's results to c until the timer is closed.
func (t *WallTimer) read(c chan<- bool) {
	var count [8]byte
	for {
		_, err := t.f.Read(count[:])
		if err != nil && !errors.Is(err, unix.ECANCELED) {
			close(c)
			return
		}
		select {
		case c <- err == nil:
		default: // the previous value was not received yet, and suffices
		}
	}
}

// Set makes the timer wait for at, or for the clock to be set. It replaces the previous time.
// With a zero at it waits only for the clock to be set.
func (t *WallTimer) Set(at time.Time) error {
	if at.IsZero() {
		at = time.Now().AddDate(100, 0, 0) // only a running timer reports a set clock
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(max(at.UnixNano(), 1))}
	err := unix.TimerfdSettime(t.fd, unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, &spec, nil)
	if err != nil && !errors.Is(err, unix.ECANCELED) { // ECANCELED: the timer was set nevertheless

		return fmt.Errorf("cannot set a timer: %w", err)
	}
	return nil
}

// Close ends the timer; C is closed.
func (t *WallTimer) Close() error { return t.f.Close() }
