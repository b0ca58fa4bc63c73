// SPDX-License-Identifier: Apache-2.0

package listdir

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/digestd/digestd/store/durable"
	"golang.org/x/sys/unix"
)

// spareDescriptors is how many descriptors holds leaves for the rest of the process; if the
// limit is low, it leaves half of it.
const spareDescriptors = 512

// tableRoom is for how many descriptors the kernel is asked to make room from the start, which
// takes 8 bytes for each. Whenever its table is full it doubles it, and lets the caller wait for
// an RCU grace period (expand_fdtable in fs/file.c), which is some 10 ms.
const tableRoom = 4096

// holds keeps descriptors of lists, so that their inodes stay in memory. The kernel finds its
// cache of a list only through the list's inode. If it evicts that inode while a file that was
// looked up in the list is still in use, nothing resets the file's cache any more, not even the
// removal of the list. (kernel: security/integrity/digest_cache, version 6)
//
// The descriptors are O_PATH, which reads nothing and prevents no writing. One is closed only
// after the list was unlinked or moved away, when the kernel has reset its cache.
type holds struct {
	mu     sync.Mutex
	lists  map[string]hold // by name, or by stagedKey
	missed map[string]bool // names of published lists that could not be held
	most   int
	room   int // how many descriptors the kernel was asked to make room for; guarded by asking
	asking sync.Mutex
	begun  sync.WaitGroup
}

type hold struct {
	fd int
	id durable.Inode
}

// stagedKey is the key of a list in the staging directory: no list has such a name.
func stagedKey(name string) string { return "/" + name }

func (h *holds) init() {
	h.lists, h.missed = map[string]hold{}, map[string]bool{}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > 1<<30 {
		limit.Cur = 1 << 30
	}
	h.most = int(limit.Cur) - min(spareDescriptors, int(limit.Cur)/2)
}

// begin makes room in the background, while the index and lists are read. fd is the list directory.
func (h *holds) begin(fd int) {
	h.begun.Go(func() { h.makeRoom(fd, tableRoom) })
}

// makeRoom has the kernel make room for n descriptors at once, by a copy of fd with a high number.
// It ignores errors: the kernel then makes room as descriptors come.
func (h *holds) makeRoom(fd, n int) {
	h.asking.Lock()
	defer h.asking.Unlock()
	if n = min(n, h.most); n <= h.room {
		return
	}
	h.room = n
	if high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, n-1); err == nil {
		unix.Close(high)
	}
}

// open opens a list for holding. An error means that the list cannot be held now.
func (h *holds) open(dir int, name string) (hold, error) {
	h.mu.Lock()
	full := len(h.lists) >= h.most
	h.mu.Unlock()
	if full {
		return hold{fd: -1}, unix.EMFILE
	}
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return hold{fd: -1}, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return hold{fd: -1}, err
	}
	return hold{fd, durable.Inode{Dev: st.Dev, Ino: st.Ino}}, nil
}

// put keeps x under key and releases what was held there before.
func (h *holds) put(key string, x hold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if old, ok := h.lists[key]; ok {
		unix.Close(old.fd)
		delete(h.lists, key)
	}
	if x.fd >= 0 {
		h.lists[key] = x
		delete(h.missed, key)
	} else if !strings.HasPrefix(key, "/") {
		h.missed[key] = true
	}
}

// move changes the key of what is held.
func (h *holds) move(from, to string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.missed, from)
	x, ok := h.lists[from]
	if !ok {
		return
	}
	delete(h.lists, from)
	if old, ok := h.lists[to]; ok {
		unix.Close(old.fd)
	}
	h.lists[to] = x
}

// drop releases what is held under key.
func (h *holds) drop(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.missed, key)
	if x, ok := h.lists[key]; ok {
		unix.Close(x.fd)
		delete(h.lists, key)
	}
}

// close releases everything, so that the file system of the lists can be unmounted.
func (h *holds) close() {
	h.begun.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, x := range h.lists {
		unix.Close(x.fd)
	}
	clear(h.lists)
	clear(h.missed)
}

// Hold makes the Dir hold exactly these lists of the directory, besides those in staging, until
// they leave the directory or the Dir is closed. A list that Publish adds is held before it
// appears. Hold returns the lists that were not held until now, or whose name leads to another
// file: the kernel may have caches of these that it cannot find any more. The error says how
// many lists cannot be held, and why the first of them cannot; see [Dir.Unheld].
func (d *Dir) Hold(names []string) (fresh []string, err error) {
	d.held.makeRoom(d.dirFd(), len(names)+spareDescriptors)
	wanted := make(map[string]bool, len(names))
	failed := 0
	for _, name := range names {
		wanted[name] = true
		if d.holds(name) {
			continue
		}
		x, oerr := d.held.open(d.dirFd(), name)
		if oerr != nil {
			if _, err := d.Stat(name); errors.Is(err, fs.ErrNotExist) {
				d.held.drop(name)
				continue
			}
		}
		d.held.put(name, x)
		if oerr == nil {
			fresh = append(fresh, name)
			continue
		}
		if failed++; err == nil {
			err = oerr
		}
	}
	d.held.mu.Lock()
	for key, x := range d.held.lists {
		if !wanted[key] && !strings.HasPrefix(key, "/") {
			unix.Close(x.fd)
			delete(d.held.lists, key)
		}
	}
	maps.DeleteFunc(d.held.missed, func(name string, _ bool) bool { return !wanted[name] })
	d.held.mu.Unlock()
	if err != nil {
		err = fmt.Errorf("cannot hold %d of %d lists open, the first in %s: %w", failed, len(names), filepath.Clean(d.path), err)
	}
	return fresh, err
}

// holds reports whether the list that has this name now is held.
func (d *Dir) holds(name string) bool {
	d.held.mu.Lock()
	x, held := d.held.lists[name]
	d.held.mu.Unlock()
	if !held {
		return false
	}
	stamp, err := d.Stat(name)
	return err == nil && x.id == durable.Inode{Dev: d.id.Dev, Ino: stamp.Ino}
}

// Unheld returns the names of lists that could not be held, in order.
func (d *Dir) Unheld() []string {
	d.held.mu.Lock()
	defer d.held.mu.Unlock()
	return slices.Sorted(maps.Keys(d.held.missed))
}
