// SPDX-License-Identifier: Apache-2.0

package exempt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// longestRest bounds how long something goes unnoticed that the kernel does not tell of,
	// such as a change of an owner.
	longestRest = 30 * time.Second
	// shortestRest is the time between two looks, however much changes.
	shortestRest = 50 * time.Millisecond
)

// Watch calls look at once, and again whenever what the host has mounted or a cgroup that
// settings may mean has changed, until ctx ends.
func (m Machine) Watch(ctx context.Context, s Settings, look func()) error {
	mounts, err := os.Open(m.Mounts)
	if err != nil {
		return fmt.Errorf("cannot watch the host's mounts: %w", err)
	}
	defer mounts.Close()
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("cannot watch cgroups: %w", err)
	}
	defer unix.Close(wake)
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		unix.Write(wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	})
	defer func() {
		if !stop() {
			<-ended // it uses the descriptor
		}
	}()
	for ctx.Err() == nil {
		changes, err := m.inotify(s)
		if err != nil {
			return err
		}
		look() // after the watches are there: what changes now is noticed
		fds := []unix.PollFd{{Fd: int32(wake), Events: unix.POLLIN}, {Fd: int32(mounts.Fd()), Events: unix.POLLPRI}, {Fd: int32(changes), Events: unix.POLLIN}}
		_, err = unix.Poll(fds, int(longestRest/time.Millisecond))
		unix.Close(changes)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("cannot wait for changes of mounts and cgroups: %w", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(shortestRest):
		}
	}
	return nil
}

// inotify watches the directories in which cgroups come and go, as they are now.
func (m Machine) inotify(s Settings) (fd int, err error) {
	if fd, err = unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK); err != nil {
		return -1, fmt.Errorf("cannot watch cgroups: %w", err)
	}
	for _, dir := range m.Parents(s) {
		// One that is gone by now has nothing to tell.
		_, err := unix.InotifyAddWatch(fd, dir, unix.IN_CREATE|unix.IN_DELETE|unix.IN_MOVE|unix.IN_ATTRIB|unix.IN_ONLYDIR)
		if err != nil && !errors.Is(err, unix.ENOENT) {
			unix.Close(fd)
			return -1, fmt.Errorf("cannot watch cgroup %s: %w", dir, err)
		}
	}
	return fd, nil
}
