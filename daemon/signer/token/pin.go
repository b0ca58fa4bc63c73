// SPDX-License-Identifier: Apache-2.0

package token

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

const maxPIN = 256

// ReadPIN reads the first line of a file. The file must belong to the user of this process, and
// no other user may be able to read it.
func ReadPIN(path string) (string, error) {
	fail := func(err error) (string, error) { return "", fmt.Errorf("cannot read PIN: %w", err) }
	// O_NONBLOCK: if it is a pipe, do not wait for a writer.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return fail(&os.PathError{Op: "stat", Path: path, Err: err})
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return fail(fmt.Errorf("%s is not a regular file", path))
	case st.Mode&0o077 != 0:
		return fail(fmt.Errorf("mode %04o lets others read %s: chmod 0600, and change the PIN if others could", st.Mode&0o777, path))
	case int(st.Uid) != os.Geteuid():
		return fail(fmt.Errorf("%s belongs to user %d, not to %d", path, st.Uid, os.Geteuid()))
	}
	data, err := io.ReadAll(io.LimitReader(f, maxPIN+2))
	if err != nil {
		return fail(err)
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	if len(line) == 0 || len(line) > maxPIN {
		return fail(fmt.Errorf("the first line of %s has %d bytes, want 1 to %d", path, len(line), maxPIN))
	}
	return string(line), nil
}
