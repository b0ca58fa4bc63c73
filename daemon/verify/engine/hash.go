// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"strings"
	"sync"

	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/kernel"
	"golang.org/x/sys/unix"
)

// hasher has the resources of one hashing goroutine.
type hasher struct {
	*engine
	ctx context.Context
	buf []byte

	dir  *kernel.Dir // directory of the latest file, nil if it cannot be opened
	path string      // path by which it was opened, with a trailing slash
}

// find looks a file up and opens it if it is readable. It first tries the open directory of the
// previous file, because a list has the files of a directory together. If the file is not found
// there, find follows the whole path, because another directory may have taken that place. fresh
// skips the open directory.
func (h *hasher) find(path string, fresh bool) (*kernel.File, error) {
	cut := strings.LastIndexByte(path, '/') + 1
	if cut > 0 && !fresh {
		if h.path != path[:cut] {
			h.leave()
			h.path = path[:cut]
			h.dir, _ = h.root.OpenDir(h.path)
		}
		if h.dir != nil {
			if f, err := h.dir.Open(path[cut:]); err == nil {
				return f, nil
			}
		}
	}
	return h.root.Find(path, false)
}

// leave closes the open directory.
func (h *hasher) leave() {
	if h.dir != nil {
		h.dir.Close()
	}
	h.dir, h.path = nil, ""
}

// sums has a file's digests by algorithm.
type sums = map[digestlist.Algo][]byte

var (
	errBusy   = errors.New("it changes while it is read")
	errSparse = errors.New("it is sparse")
)

// A sparse file that is larger than this is not read: a few bytes on disk must not occupy a
// processor for days.
const maxSparse = 16 << 30

// sums reads a file once. For a file with several names or lists, the first goroutine reads it
// and the others wait.
func (h *hasher) sums(f *kernel.File, u *unit, shared bool, algos ...digestlist.Algo) (sums, error) {
	if !shared && f.Stat.Nlink < 2 {
		return h.read(f, u, algos)
	}
	at := inode{f.Stat.Dev, f.Stat.Ino, f.Stat.Ctim, algos[0], len(algos)}
	l, first := h.links.enter(at)
	if first {
		l.sums, l.err = h.read(f, u, algos)
		close(l.done)
	}
	<-l.done
	return l.sums, l.err
}

// read hashes a file, and hashes it again if it changed meanwhile.
func (h *hasher) read(f *kernel.File, u *unit, algos []digestlist.Algo) (sums, error) {
	before := f.Stat
	for range 3 {
		if before.Size > maxSparse && before.Blocks*512 < before.Size/8 {
			return nil, fmt.Errorf("%w: %d bytes, of which %d are on disk", errSparse, before.Size, before.Blocks*512)
		}
		got, err := h.readOnce(f, u, algos)
		if err != nil {
			return nil, err
		}
		after, err := f.Restat()
		if err != nil {
			return nil, err
		}
		if sameContent(&before, &after) {
			return got, nil
		}
		before, f.Stat = after, after
	}
	return nil, errBusy
}

func sameContent(a, b *unix.Stat_t) bool {
	return a.Size == b.Size && a.Mtim == b.Mtim && a.Ctim == b.Ctim
}

func (h *hasher) readOnce(f *kernel.File, u *unit, algos []digestlist.Algo) (sums, error) {
	hashes := make([]hash.Hash, len(algos))
	for i, algo := range algos {
		if algo.Hash() == 0 {
			return nil, fmt.Errorf("its list has digests by %s", algo)
		}
		hashes[i] = algo.Hash().New()
	}
	read := uint64(0)
	err := f.Content(h.buf, func(piece []byte) error {
		for _, s := range hashes {
			s.Write(piece)
		}
		read += uint64(len(piece))
		if read%(1<<20) < uint64(len(piece)) {
			h.pace.Wait(h.ctx)
		}
		return h.ctx.Err()
	})
	u.mu.Lock()
	u.Bytes += read
	u.mu.Unlock()
	if err != nil {
		return nil, err
	}
	got := make(sums, len(algos))
	for i, algo := range algos {
		got[algo] = hashes[i].Sum(nil)
	}
	return got, nil
}

// inode identifies a file's content until it changes.
type inode struct {
	dev, ino uint64
	ctime    unix.Timespec
	algo     digestlist.Algo
	algos    int
}

// link is the content of a file with several names.
type link struct {
	done chan struct{}
	sums sums
	err  error
}

// links remembers the digests of files with several names.
type links struct {
	mu    *sync.Mutex
	known map[inode]*link
}

// maxLinks bounds the number of entries.
const maxLinks = 1 << 20

func newLinks() links { return links{&sync.Mutex{}, map[inode]*link{}} }

// enter returns the content of an inode, and whether the caller must compute it.
func (l links) enter(at inode) (entry *link, first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if entry := l.known[at]; entry != nil {
		return entry, false
	}
	entry = &link{done: make(chan struct{})}
	if len(l.known) < maxLinks {
		l.known[at] = entry
	}
	return entry, true
}
