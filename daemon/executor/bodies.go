// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/digestd/digestd/store/durable"
)

// Bodies keeps the bodies of own lists. They are [BodyFiles], except where a test makes
// effects fail.
type Bodies interface {
	// Keep gives the file from the path to, durably. After an error it has its old path.
	Keep(from, to string) error
	// Remove removes a file. A crash may bring it back, and the next start removes it.
	Remove(path string) error
}

// BodyFiles keeps bodies in a file system.
type BodyFiles struct{}

// Keep renames the file.
func (BodyFiles) Keep(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	if err := durable.SyncDir(filepath.Dir(to)); err != nil {
		return errors.Join(err, os.Rename(to, from))
	}
	return nil
}

// Remove removes the file.
func (BodyFiles) Remove(path string) error { return os.Remove(path) }
