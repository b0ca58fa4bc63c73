// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/digestd/digestd/store/durable"
	"golang.org/x/sys/unix"
)

// reserve is a file in the state directory that does nothing but take space. An urgent
// commit on a full disk removes it and uses its space: lists of a revoked key must be able
// to go when nothing else can be recorded.
type reserve struct {
	path  string
	whole bool      // the file has all of its space
	tried time.Time // when digestd last tried to make it so
}

const (
	reserveFile  = "index.reserve"
	reserveSize  = 512 << 10
	reserveLeast = 16 << 10 // less is of no use
	reservePause = time.Minute
)

// diskFull reports whether err says that a file system, or its owner's share, is full.
func diskFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// keep takes as much of the space as there is. It is no error if there is none, or if the
// file system cannot promise space: then urgent commits are as any other.
func (r *reserve) keep() {
	r.tried = time.Now()
	f, err := os.OpenFile(r.path, os.O_WRONLY|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return
	}
	if r.whole = st.Size == reserveSize && st.Blocks*512 >= reserveSize; r.whole {
		return
	}
	for size := int64(reserveSize); size >= reserveLeast; size /= 2 {
		err := unix.Fallocate(int(f.Fd()), 0, 0, size)
		if err == nil {
			r.whole = size == reserveSize
			return
		}
		if !diskFull(err) {
			break
		}
	}
	f.Truncate(st.Size)
}

// restore completes the space after the disk was full, at most once a minute.
func (r *reserve) restore() {
	if !r.whole && time.Since(r.tried) >= reservePause {
		r.keep()
	}
}

// release gives the space back, and reports whether there was any.
func (r *reserve) release() bool {
	r.whole = false
	if err := os.Remove(r.path); err != nil {
		return false
	}
	durable.SyncDir(filepath.Dir(r.path)) // some file systems give the space back only then
	return true
}
