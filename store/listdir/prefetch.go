// SPDX-License-Identifier: Apache-2.0

package listdir

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// prefetchName is the extended attribute of the list directory by which the kernel
// reads all lists before the one it looks for, in their order (Integrity Digest
// Cache, digest_cache/dir.c).
const prefetchName = "security.dig_prefetch"

// SetPrefetch switches prefetching on or off: whether the kernel also reads the lists before the
// one that it needs. It does nothing if the setting is the same.
func (d *Dir) SetPrefetch(on bool) error {
	now, err := d.Prefetch()
	if err != nil || now == on {
		return err
	}
	if on {
		err = unix.Fsetxattr(d.dirFd(), prefetchName, []byte("1"), 0)
	} else {
		err = unix.Fremovexattr(d.dirFd(), prefetchName)
	}
	if err != nil {
		return fmt.Errorf("cannot set %s of %s: %w", prefetchName, d.path, err)
	}
	return nil
}

// Prefetch reports whether the kernel also reads the lists before the one that it needs.
func (d *Dir) Prefetch() (bool, error) {
	var buf [8]byte
	n, err := unix.Fgetxattr(d.dirFd(), prefetchName, buf[:])
	switch {
	case errors.Is(err, unix.ENODATA), errors.Is(err, unix.EOPNOTSUPP):
		return false, nil
	case errors.Is(err, unix.ERANGE):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("cannot read %s of %s: %w", prefetchName, d.path, err)
	}
	return n > 0 && buf[0] == '1', nil
}
