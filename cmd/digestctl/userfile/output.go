// SPDX-License-Identifier: Apache-2.0

package userfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Write writes a file that a user named, completely or not at all. It replaces an existing file,
// and never follows a symbolic link: root may write into a directory in which other users make
// links.
func Write(path string, data []byte, mode os.FileMode) error {
	if err := MayReplace(path); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".digestctl-")
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: errors.Unwrap(err)}
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// MayReplace returns an error if the name exists and is not a regular file.
func MayReplace(path string) error {
	if fi, err := os.Lstat(path); err == nil && !fi.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	return nil
}
