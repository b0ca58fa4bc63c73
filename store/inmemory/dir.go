// SPDX-License-Identifier: Apache-2.0

package inmemory

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/digestd/digestd/store/record"
	"golang.org/x/sys/unix"
)

// Dir is a list directory in memory, with its staging and quarantine. Any goroutine may
// use it.
type Dir struct {
	path string

	mu         sync.Mutex
	lists      map[string]*file
	all        map[string][]byte // result of All; nil after a change
	staged     map[string]*file
	quarantine map[string]*file
	held       map[string]*file // as [listdir.Dir.Hold] keeps them
	time       int64            // rises with every change of a file or its name
	inodes     uint64
	serial     uint64
	dirty      bool
	prefetch   bool
}

// file is an inode. Its content is replaced, never changed.
type file struct {
	ino          uint64
	data         []byte
	mtime, ctime int64
}

// NewDir returns an empty directory that claims to be at path.
func NewDir(path string) *Dir {
	d := &Dir{path: path, lists: map[string]*file{}, quarantine: map[string]*file{}}
	d.Reopen()
	return d
}

// Reopen has the effects of another process opening the directory: it empties staging.
func (d *Dir) Reopen() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.staged, d.held, d.dirty = map[string]*file{}, map[string]*file{}, true
}

func (d *Dir) tick() int64 {
	d.time++
	return d.time
}

func (d *Dir) create(data []byte) *file {
	d.inodes++
	now := d.tick()
	return &file{d.inodes, data, now, now}
}

func (d *Dir) absent(op, name string) error {
	return &fs.PathError{Op: op, Path: filepath.Join(d.path, name), Err: unix.ENOENT}
}

func validName(name string) error {
	if name == "" || len(name) > 255 || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("cannot use %q as the name of a list", name)
	}
	return nil
}

// Publish gives the staged file the name.
func (d *Dir) Publish(s record.Staged, name string, _ bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	replaced, err := d.exchange(s, name)
	if replaced {
		delete(d.staged, s.Name())
	}
	return err
}

// PublishKeeping is Publish, and keeps the list that had the name before.
func (d *Dir) PublishKeeping(s record.Staged, name string) (old record.Staged, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	replaced, err := d.exchange(s, name)
	if replaced {
		old = s
	}
	return old, err
}

func (d *Dir) exchange(s record.Staged, name string) (replaced bool, err error) {
	if err := validName(name); err != nil {
		return false, err
	}
	f := d.staged[s.Name()]
	if f == nil {
		return false, fmt.Errorf("cannot publish %s: %w", filepath.Join(d.path, name), unix.ENOENT)
	}
	old := d.lists[name]
	d.lists[name], d.held[name], d.dirty, d.all = f, f, true, nil
	f.ctime = d.tick()
	if old == nil {
		delete(d.staged, s.Name())
		return false, nil
	}
	old.ctime = f.ctime
	d.staged[s.Name()] = old
	return true, nil
}

// takeOut moves a list into staging and returns its name there, or "" if there is no such list.
func (d *Dir) takeOut(name string) (string, error) {
	if err := validName(name); err != nil {
		return "", err
	}
	f := d.lists[name]
	if f == nil {
		return "", nil
	}
	d.serial++
	tmp := strconv.FormatUint(d.serial, 36)
	delete(d.lists, name)
	delete(d.held, name)
	d.staged[tmp], d.dirty, d.all = f, true, nil
	f.ctime = d.tick()
	return tmp, nil
}

// Remove removes a list. A missing list is no error.
func (d *Dir) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	tmp, err := d.takeOut(name)
	delete(d.staged, tmp)
	return err
}

// TakeOut is Remove, and keeps the list.
func (d *Dir) TakeOut(name string) (record.Staged, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	tmp, err := d.takeOut(name)
	if err != nil || tmp == "" {
		return record.Staged{}, err
	}
	return record.StagedAs(tmp, 0), nil
}

// RemoveMany removes these lists, and calls out after each.
func (d *Dir) RemoveMany(names []string, out func()) (contents [][]byte, errs []error) {
	contents = make([][]byte, len(names))
	for i, name := range names {
		d.mu.Lock()
		tmp, err := d.takeOut(name)
		if f := d.staged[tmp]; f != nil {
			contents[i] = append([]byte(nil), f.data...)
			delete(d.staged, tmp)
		}
		d.mu.Unlock()
		if err == nil {
			out()
			continue
		}
		if errs == nil {
			errs = make([]error, len(names))
		}
		errs[i] = err
	}
	return contents, errs
}

// Quarantine moves an entry out of the directory and returns its name in quarantine.
func (d *Dir) Quarantine(name, stamp string) (string, error) {
	if err := validName(name); err != nil {
		return "", err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.lists[name]
	if f == nil {
		return "", fmt.Errorf("cannot quarantine %s: %w", filepath.Join(d.path, name), unix.ENOENT)
	}
	base := stamp + "-" + name
	base = base[:min(len(base), 240)]
	aside := base
	for n := 1; d.quarantine[aside] != nil; n++ {
		aside = fmt.Sprintf("%s.%d", base, n)
	}
	delete(d.lists, name)
	delete(d.held, name)
	d.quarantine[aside], d.dirty, d.all = f, true, nil
	f.ctime = d.tick()
	return aside, nil
}

// Quarantined returns the names of all entries in quarantine, in order.
func (d *Dir) Quarantined() ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.quarantine)), nil
}

// QuarantinedSize returns the size of an entry in quarantine, in bytes.
func (d *Dir) QuarantinedSize(name string, _ int64) (int64, error) {
	if err := validName(name); err != nil {
		return 0, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.quarantine[name]
	if f == nil {
		return 0, &fs.PathError{Op: "stat", Path: filepath.Join(d.QuarantinePath(), name), Err: unix.ENOENT}
	}
	return int64(len(f.data)), nil
}

// Discard removes a staged file.
func (d *Dir) Discard(s record.Staged) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.staged, s.Name())
}

// Poke does nothing, because there is no kernel.
func (d *Dir) Poke() error { return nil }

// Announce does nothing, like Poke.
func (d *Dir) Announce([]string) error { return nil }

// SetPrefetch makes Prefetch return on.
func (d *Dir) SetPrefetch(on bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.prefetch = on
	return nil
}

// Prefetch returns what SetPrefetch set.
func (d *Dir) Prefetch() (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.prefetch, nil
}

// Sync makes these lists and the changes of the directory durable.
func (d *Dir) Sync(...string) error { return d.SyncAll() }

// SyncAll makes everything durable.
func (d *Dir) SyncAll() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dirty = false
	return nil
}

// SyncLists makes the content of these lists durable.
func (d *Dir) SyncLists([]string) error { return nil }

// SyncStaged makes the content of a staged file durable.
func (d *Dir) SyncStaged(s record.Staged) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.staged[s.Name()] == nil {
		return fmt.Errorf("cannot sync a list in %s.staging: %w", d.path, unix.ENOENT)
	}
	return nil
}

// Dirty reports whether a list was added or removed since the latest Sync or SyncAll.
func (d *Dir) Dirty() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dirty
}

// CheckPath returns nil: the directory cannot be replaced.
func (d *Dir) CheckPath() error { return nil }

// Hold makes the Dir hold exactly these lists, and returns those that it did not hold.
func (d *Dir) Hold(names []string) (fresh []string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range names {
		f := d.lists[name]
		if f != nil && d.held[name] != f {
			fresh = append(fresh, name)
		}
		d.held[name] = f
	}
	maps.DeleteFunc(d.held, func(name string, f *file) bool { return f == nil || !slices.Contains(names, name) })
	return fresh, nil
}

// Unheld returns nil.
func (d *Dir) Unheld() []string { return nil }

// Size returns the size of an entry, in bytes.
func (d *Dir) Size(name string, _ int64) (int64, error) {
	if err := validName(name); err != nil {
		return 0, err
	}
	stamp, err := d.Stat(name)
	return stamp.Size, err
}

// Names returns the names of all entries, in order.
func (d *Dir) Names() ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.lists)), nil
}

// On returns false: the directory is on no device.
func (d *Dir) On(uint64) bool { return false }

// Path returns the path given to NewDir.
func (d *Dir) Path() string { return d.path }

// QuarantinePath returns where the quarantine of a directory at Path would be.
func (d *Dir) QuarantinePath() string { return d.path + ".quarantine" }

// Read returns the content of a list in buf, which may be nil.
func (d *Dir) Read(name string, buf []byte) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.lists[name]
	if f == nil {
		return nil, d.absent("open", name)
	}
	return append(buf[:0], f.data...), nil
}

// Stat returns the stamp of a list; the error is fs.ErrNotExist if there is none.
func (d *Dir) Stat(name string) (record.Stamp, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.lists[name]
	if f == nil {
		return record.Stamp{}, d.absent("stat", name)
	}
	return record.Stamp{Ino: f.ino, Size: int64(len(f.data)), Mtime: f.mtime * 1e9, Ctime: f.ctime * 1e9, Links: 1, Regular: true}, nil
}

// Close keeps everything for the next user.
func (d *Dir) Close() error { return nil }

// Stager writes files into the staging directory.
type Stager struct {
	d      *Dir
	prefix string
	serial uint64
}

// Stager returns a Stager whose files carry prefix.
func (d *Dir) Stager(prefix string) *Stager { return &Stager{d: d, prefix: prefix} }

// Write stages content, which may come in parts.
func (s *Stager) Write(parts ...[]byte) (record.Staged, error) {
	data := slices.Concat(parts...)
	if len(data) == 0 {
		return record.Staged{}, errors.New("cannot stage an empty list: the kernel would refuse it")
	}
	s.serial++
	st := record.StagedAs(s.prefix+"."+strconv.FormatUint(s.serial, 10), len(data))
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	s.d.staged[st.Name()] = s.d.create(data)
	return st, nil
}

// Discard removes a staged file and clears st.
func (s *Stager) Discard(st *record.Staged) {
	s.d.Discard(*st)
	*st = record.Staged{}
}

// ---- what other programs do, and power cuts ----

// All returns the contents of all lists. The map does not change later, and callers must not
// change it or the contents.
func (d *Dir) All() map[string][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all == nil {
		d.all = make(map[string][]byte, len(d.lists))
		for name, f := range d.lists {
			d.all[name] = f.data
		}
	}
	return d.all
}

// Put creates or overwrites a file, as another program would. The Dir owns data from then on.
func (d *Dir) Put(name string, data []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = nil
	f := d.lists[name]
	if f == nil {
		d.lists[name] = d.create(data)
		return
	}
	f.data, f.mtime = data, d.tick()
	f.ctime = f.mtime
}

// Unlink removes a file, as another program would.
func (d *Dir) Unlink(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = nil
	delete(d.lists, name)
}
