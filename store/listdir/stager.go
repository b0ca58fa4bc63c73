// SPDX-License-Identifier: Apache-2.0

package listdir

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/digestd/digestd/store/record"
	"golang.org/x/sys/unix"
)

// Stager writes files into the staging directory, concurrently with the owner of the Dir. Each
// goroutine uses a Stager of its own, with a prefix of its own.
type Stager struct {
	d      *Dir
	prefix string
	serial uint64
}

// Stager returns a Stager whose files begin with prefix, which must be unique among the Stagers
// in use.
func (d *Dir) Stager(prefix string) *Stager { return &Stager{d: d, prefix: prefix} }

// Write stages content, which may come in parts. When it returns, the file is complete and
// closed, but not durable.
func (s *Stager) Write(parts ...[]byte) (record.Staged, error) {
	size := 0
	for _, part := range parts {
		size += len(part)
	}
	if size == 0 {
		return record.Staged{}, errors.New("cannot stage an empty list: the kernel would refuse it")
	}
	s.serial++
	st := record.StagedAs(s.prefix+"."+strconv.FormatUint(s.serial, 10), size)
	fd, err := s.d.createStaged(st.Name())
	if err != nil {
		return record.Staged{}, err
	}
	if err := s.d.fillStaged(fd, st.Name(), parts); err != nil {
		return record.Staged{}, err
	}
	return st, nil
}

// SyncStaged makes the content of a staged file durable, for lists so large that the owner of
// the Dir should not wait for them.
func (d *Dir) SyncStaged(s record.Staged) error {
	fd, err := unix.Openat(d.stagingFd(), s.Name(), unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == nil {
		err = errors.Join(unix.Fdatasync(fd), unix.Close(fd))
	}
	if err != nil {
		return fmt.Errorf("cannot sync a list in %s: %w", d.stagingPath(), err)
	}
	return nil
}

// Discard removes a staged file, if there is one, and clears st.
func (s *Stager) Discard(st *record.Staged) {
	s.d.Discard(*st)
	*st = record.Staged{}
}

// Discard removes a staged file.
func (d *Dir) Discard(s record.Staged) {
	if s.Name() != "" {
		unix.Unlinkat(d.stagingFd(), s.Name(), 0)
		d.held.drop(stagedKey(s.Name()))
	}
}

func (d *Dir) createStaged(name string) (fd int, err error) {
	create := func() (int, error) {
		return unix.Openat(d.stagingFd(), name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
	}
	fd, err = create()
	if errors.Is(err, unix.ENOENT) {
		if err = d.remakeStaging(); err == nil {
			fd, err = create()
		}
	}
	if err != nil {
		return -1, fmt.Errorf("cannot stage a list in %s: %w", d.stagingPath(), err)
	}
	// The mode must not depend on the umask of the process.
	if err := unix.Fchmod(fd, 0o644); err != nil {
		unix.Close(fd)
		d.unlinkStaged(name)
		return -1, fmt.Errorf("cannot stage a list in %s: %w", d.stagingPath(), err)
	}
	return fd, nil
}

func (d *Dir) fillStaged(fd int, name string, parts [][]byte) (err error) {
	for _, b := range parts {
		for len(b) > 0 && err == nil {
			var n int
			n, err = unix.Write(fd, b)
			if errors.Is(err, unix.EINTR) {
				err = nil
				continue
			}
			b = b[max(n, 0):]
		}
	}
	if cerr := unix.Close(fd); err == nil {
		err = cerr
	}
	if err != nil {
		d.unlinkStaged(name)
		return fmt.Errorf("cannot stage a list in %s: %w", d.stagingPath(), err)
	}
	return nil
}
