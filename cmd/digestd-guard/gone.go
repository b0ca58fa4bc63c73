// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// gracePeriod is how long this program may be missing: an upgrade renames another into its place.
const gracePeriod = 10 * time.Second

// gone waits until the file at path has been missing for grace. Nobody is left then who could
// let anything new run, for a package manager removed the program without its scriptlets
// (rpm -e --noscripts), and nothing may be refused any more. Only root can remove it, who can
// turn the guard off as well. An error is that of ctx, or says why nobody looks.
func gone(ctx context.Context, path string, grace time.Duration) error {
	for {
		changes, err := watchDirectory(filepath.Dir(path))
		if err != nil {
			return fmt.Errorf("cannot watch %s: %w", path, err)
		}
		stop := context.AfterFunc(ctx, func() { changes.Close() })
		_, err = os.Lstat(path) // after the watch is there: what changes now is noticed
		missing := errors.Is(err, fs.ErrNotExist)
		if missing {
			err = changes.SetReadDeadline(time.Now().Add(grace))
		}
		if err == nil {
			_, err = changes.Read(make([]byte, 4096))
		}
		stop()
		changes.Close()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case missing && errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return fmt.Errorf("cannot watch %s: %w", path, err)
		}
		// A package manager changes a directory many times.
		pause(ctx, min(grace, time.Second))
	}
}

// watchDirectory returns what can be read when an entry of a directory comes or goes.
func watchDirectory(dir string) (*os.File, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_CREATE|unix.IN_DELETE|unix.IN_MOVE|unix.IN_ONLYDIR|unix.IN_DELETE_SELF); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "inotify"), nil
}
