// SPDX-License-Identifier: Apache-2.0

// Package userfile reads and writes files that a user names. It bounds their size, never writes
// through a symbolic link, and never blocks on another process.
package userfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/digestd/digestd/daemon/api"
	"golang.org/x/sys/unix"
)

// NoFileError means that a file does not exist.
type NoFileError struct{ error }

// NoFile returns the error about a missing file.
func NoFile(err error) error { return NoFileError{err} }

// Interruptible is a reader that fails when a context ends.
type Interruptible struct {
	Ctx context.Context
	R   io.Reader
}

// Read reads unless the context has ended.
func (r Interruptible) Read(p []byte) (int, error) {
	if err := r.Ctx.Err(); err != nil {
		return 0, err
	}
	return r.R.Read(p)
}

// ReadBounded reads a file, or standard input for "-". The content may have at most most bytes.
func ReadBounded(ctx context.Context, path string, most int64) ([]byte, error) {
	f := os.Stdin
	if path != "-" {
		var err error
		f, err = os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, NoFile(fmt.Errorf("there is no file %s", path))
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", path, errors.Unwrap(err))
		}
		defer f.Close()
	}
	data, err := io.ReadAll(io.LimitReader(Interruptible{ctx, f}, most+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	if int64(len(data)) > most {
		return nil, &api.Error{Code: api.InvalidArgument, Message: path + " is too large: more than " + strconv.FormatInt(most, 10) + " bytes"}
	}
	return data, nil
}

// Absolute makes path absolute in the way of the kernel: "link/.." is the parent of the
// directory to which link leads, not the one that contains link. A link as the last component
// stays, for the daemon to follow.
func Absolute(path string) (string, error) {
	if slices.Contains(strings.Split(path, "/"), "..") {
		// Not filepath.Dir, which takes ".." back by the letter.
		cut := strings.LastIndexByte(path, '/') + 1
		dir, base := path[:cut], path[cut:]
		if base == ".." {
			dir, base = path, ""
		}
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			path = filepath.Join(real, base)
		}
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("cannot tell where %s is: %w", path, err)
	}
	return abs, nil
}
