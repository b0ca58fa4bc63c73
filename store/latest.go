// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// LatestCommit returns the number of the latest commit of the index in dir. It reads only the
// commit file, so the index may be closed, or open in another process.
func LatestCommit(dir string) (uint64, error) {
	path := filepath.Join(dir, journalFile)
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	head := make([]byte, len(journalMagic)+20)
	body := info.Size() - sha256.Size
	if !info.Mode().IsRegular() || body < int64(len(head)) || info.Size() > maxJournal {
		return 0, fmt.Errorf("cannot read %s: %w", path, errJournal)
	}
	if _, err := f.ReadAt(head, 0); err != nil {
		return 0, fmt.Errorf("cannot read %s: %w", path, err)
	}
	sum, stored := sha256.New(), make([]byte, sha256.Size)
	_, err = io.Copy(sum, io.NewSectionReader(f, 0, body))
	if err == nil {
		_, err = f.ReadAt(stored, body)
	}
	switch {
	case err != nil:
		return 0, fmt.Errorf("cannot read %s: %w", path, err)
	case !bytes.HasPrefix(head, []byte(journalMagic)) || !bytes.Equal(sum.Sum(nil), stored):
		return 0, fmt.Errorf("cannot read %s: %w", path, errJournal)
	}
	return binary.BigEndian.Uint64(head[len(journalMagic):]), nil
}
