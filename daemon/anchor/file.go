// SPDX-License-Identifier: Apache-2.0

package anchor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/digestd/digestd/kernel/tpm"
	"github.com/digestd/digestd/store/durable"
	"golang.org/x/sys/unix"
)

// secret is what is needed to use a counter, as it lies in a file that only root can read.
// That file is outside of the state directory: what brings an old index back must not bring
// an old secret with it.
type secret struct {
	Index uint32 `json:"index"` // of the TPM's nonvolatile memory
	Name  []byte `json:"name"`  // the counter's
	Mark  []byte `json:"mark"`  // makes the name one that no other counter has
	Auth  []byte `json:"auth"`
}

// The file of a counter that is being made has this appended to its name.
const draftSuffix = ".draft"

// maxFile bounds the file.
const maxFile = 4 << 10

var errNone = errors.New("the anchor is not enabled")

// newSecret returns what a new counter needs.
func newSecret(index uint32) (secret, error) {
	s := secret{Index: index, Auth: tpm.NewSecret(), Mark: tpm.NewSecret()}
	var err error
	s.Name, err = tpm.CounterName(index, s.Mark)
	return s, err
}

func (s secret) counter() tpm.Counter { return tpm.Counter{Index: s.Index, Name: s.Name, Auth: s.Auth} }

// readSecret returns [errNone] where there is no file. One that others than its owner can
// read or change is an error.
func readSecret(path string) (s secret, err error) {
	data, err := readPrivate(path, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return s, errNone
	}
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err == nil && (len(s.Name) == 0 || len(s.Mark) != tpm.SecretSize || len(s.Auth) != tpm.SecretSize) {
		err = fmt.Errorf("%s is incomplete", path)
	}
	if err != nil {
		return secret{}, fmt.Errorf("cannot read the anchor's secret: %w", err)
	}
	return s, nil
}

// maxPassword bounds the password of a hierarchy.
const maxPassword = 64

// readPassword reads a password without the end of its line; path is "" for none.
func readPassword(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	data, err := readPrivate(path, maxPassword+1)
	data = bytes.TrimSuffix(data, []byte("\n"))
	if err == nil && (len(data) > maxPassword || bytes.IndexByte(data, 0) >= 0) {
		err = fmt.Errorf("want at most %d bytes in %s, none of them zero", maxPassword, path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the password of the endorsement hierarchy: %w", err)
	}
	return data, nil
}

// readPrivate reads a file that only its owner can use.
func readPrivate(path string, most int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no regular file", path)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("others than its owner can use %s: chmod 600", path)
	case info.Size() > most:
		return nil, fmt.Errorf("%s is larger than %d bytes", path, most)
	}
	return io.ReadAll(io.LimitReader(f, most))
}

// writeSecret writes the file durably.
func writeSecret(path string, s secret) error {
	data, err := json.Marshal(s)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o755)
	}
	if err == nil {
		err = durable.WriteFile(path, append(data, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("cannot keep the anchor's secret: %w", err)
	}
	return nil
}

// renameSecret gives a file another name, durably.
func renameSecret(from, to string) error {
	err := os.Rename(from, to)
	if err == nil {
		err = durable.SyncDir(filepath.Dir(to))
	}
	if err != nil {
		return fmt.Errorf("cannot keep the anchor's secret: %w", err)
	}
	return nil
}

// removeSecret removes a file, durably, if it is there.
func removeSecret(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = durable.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("cannot remove the anchor's secret: %w", err)
	}
	return nil
}
