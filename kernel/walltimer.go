// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// WallTimer waits for times of the wall clock: also over a suspend, and where the
// clock is set meanwhile. A time.Timer goes by a clock that knows of neither.
type WallTimer struct {
	C <-chan bool // receives after each Set: whether the time has come; false: the clock was set

	fd int
	f  *os.File
}

// NewWallTimer returns a timer that was not set yet. Close it after use.
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

// read passes on what the timer says, until it is closed.
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
		default: // the one before was not heard yet, and is as good
		}
	}
}

// Set has the timer wait for at, or for the clock to be set. It replaces what was set
// before. The zero time waits only for the clock to be set.
func (t *WallTimer) Set(at time.Time) error {
	if at.IsZero() {
		at = time.Now().AddDate(100, 0, 0) // only a timer that runs is told
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(max(at.UnixNano(), 1))}
	err := unix.TimerfdSettime(t.fd, unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, &spec, nil)
	if err != nil && !errors.Is(err, unix.ECANCELED) { // which was set all the same
		return fmt.Errorf("cannot set a timer: %w", err)
	}
	return nil
}

// Close ends the timer; C is closed.
func (t *WallTimer) Close() error { return t.f.Close() }
