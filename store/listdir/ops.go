// SPDX-License-Identifier: Apache-2.0

package listdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/digestd/digestd/store/record"
	"golang.org/x/sys/unix"
)

// Publish gives the staged file the name in one step: the list appears, or replaces the file of
// that name, which the kernel then forgets. poke makes a running scan of the directory start
// over; of many publications in a row the last one suffices.
func (d *Dir) Publish(s record.Staged, name string, poke bool) error {
	replaced, err := d.exchange(s, name)
	switch {
	case err != nil:
		return err
	case replaced:
		// The exchange reset both inodes; the unlink resets the old one
		// again, now that nobody can find it under the list's name.
		d.unlinkStaged(s.Name())
	case poke:
		return d.touch(d.dirFd(), name)
	}
	return nil
}

// PublishKeeping is Publish, and keeps the list that had the name before: it stays in staging,
// to be published again or discarded. The zero Staged means that there was none.
func (d *Dir) PublishKeeping(s record.Staged, name string) (old record.Staged, err error) {
	replaced, err := d.exchange(s, name)
	if err != nil {
		return record.Staged{}, err
	}
	if !replaced {
		return record.Staged{}, d.touch(d.dirFd(), name)
	}
	return s, d.touch(d.stagingFd(), s.Name())
}

// exchange gives the staged file the name, and reports whether another file had it, which is
// then in staging.
func (d *Dir) exchange(s record.Staged, name string) (replaced bool, err error) {
	if err := validName(name); err != nil {
		return false, err
	}
	// The list is held before anybody can find it. If it cannot be held, it is published
	// nevertheless, and Unheld names it.
	x, _ := d.held.open(d.stagingFd(), s.Name())
	err = unix.Renameat2(d.stagingFd(), s.Name(), d.dirFd(), name, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EEXIST) {
		replaced = true
		err = unix.Renameat2(d.stagingFd(), s.Name(), d.dirFd(), name, unix.RENAME_EXCHANGE)
	}
	if err != nil {
		if x.fd >= 0 {
			unix.Close(x.fd)
		}
		return false, fmt.Errorf("cannot publish %s: %w", filepath.Join(d.path, name), err)
	}
	d.changes.Add(1)
	if replaced {
		d.held.move(name, stagedKey(s.Name()))
	} else {
		d.held.drop(stagedKey(s.Name()))
	}
	d.held.put(name, x)
	return replaced, nil
}

// touch opens a file for writing and closes it at once. This resets the kernel's caches of the
// file and its directory, like Poke, and changes neither.
func (d *Dir) touch(dir int, name string) error {
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == nil {
		err = unix.Close(fd)
	}
	if err != nil {
		return fmt.Errorf("cannot announce %s: %w", filepath.Join(d.path, name), err)
	}
	return nil
}

// Announce makes the kernel read those of these lists again that exist, for example after the
// kernel got the certificate that it lacked. It does not change them.
func (d *Dir) Announce(names []string) (err error) {
	for _, name := range names {
		if terr := d.touch(d.dirFd(), name); terr != nil && !errors.Is(terr, fs.ErrNotExist) {
			err = errors.Join(err, terr)
		}
	}
	return err
}

// Poke makes the kernel scan the directory again.
func (d *Dir) Poke() error {
	fd, err := unix.Openat(d.dirFd(), pokeName, unix.O_WRONLY|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err == nil {
		err = errors.Join(unix.Close(fd), unix.Unlinkat(d.dirFd(), pokeName, 0))
	}
	if err != nil {
		return fmt.Errorf("cannot refresh %s: %w", d.path, err)
	}
	return nil
}

// Remove removes a list: first out of the directory by a rename, so that no lookup finds it,
// then by unlinking it, so that the kernel forgets it. A missing list is no error.
func (d *Dir) Remove(name string) error {
	tmp, err := d.takeOut(name)
	if err == nil && tmp != "" {
		d.unlinkStaged(tmp)
	}
	return err
}

// TakeOut is Remove, and keeps the list: it stays in staging, to be published again or
// discarded. The zero Staged means that there was none.
func (d *Dir) TakeOut(name string) (record.Staged, error) {
	tmp, err := d.takeOut(name)
	if err != nil || tmp == "" {
		return record.Staged{}, err
	}
	return record.StagedAs(tmp, 0), d.touch(d.stagingFd(), tmp)
}

// RemoveMany is Remove for each of these lists, but moves all of them out of the directory
// before it does anything else. It returns their contents, nil for a list that was missing or
// cannot be read, and calls out after each one that it moved. One failure does not affect the
// others: errs has the error at the index of the list, and is nil if there is none.
func (d *Dir) RemoveMany(names []string, out func()) (contents [][]byte, errs []error) {
	taken := make([]string, len(names))
	for i, name := range names {
		tmp, err := d.takeOut(name)
		if err != nil {
			if errs == nil {
				errs = make([]error, len(names))
			}
			errs[i] = err
			continue
		}
		taken[i] = tmp
		out()
	}
	contents = make([][]byte, len(names))
	for i, tmp := range taken {
		if tmp != "" {
			contents[i], _ = readList(d.staging.Load(), tmp, nil)
			d.unlinkStaged(tmp)
		}
	}
	return contents, errs
}

// takeOut moves a list into staging and returns its name there, or "" if there is no such list.
func (d *Dir) takeOut(name string) (string, error) {
	if err := validName(name); err != nil {
		return "", err
	}
	tmp := d.stagingName()
	err := unix.Renameat2(d.dirFd(), name, d.stagingFd(), tmp, 0)
	if errors.Is(err, unix.ENOENT) {
		// There is no such list, or no staging directory to move it to.
		if _, serr := d.Stat(name); errors.Is(serr, fs.ErrNotExist) {
			return "", nil
		}
		if err = d.remakeStaging(); err == nil {
			err = unix.Renameat2(d.dirFd(), name, d.stagingFd(), tmp, 0)
		}
	}
	if err != nil {
		return "", fmt.Errorf("cannot remove %s: %w", filepath.Join(d.path, name), err)
	}
	d.changes.Add(1)
	d.held.move(name, stagedKey(tmp))
	return tmp, nil
}

// unlinkStaged unlinks a staged file. If it cannot, the next Sweep does it: the list is out of
// the directory, which is what matters. A directory is removed with its contents in the
// background.
func (d *Dir) unlinkStaged(name string) {
	defer d.held.drop(stagedKey(name)) // not before the kernel has reset its cache
	if err := unix.Unlinkat(d.stagingFd(), name, 0); !errors.Is(err, unix.EISDIR) {
		return
	}
	if err := unix.Unlinkat(d.stagingFd(), name, unix.AT_REMOVEDIR); err != nil {
		go os.RemoveAll(filepath.Join(d.stagingPath(), name))
	}
}

// Quarantine moves an entry of any kind out of the list directory and returns its name in
// quarantine.
func (d *Dir) Quarantine(name, stamp string) (string, error) {
	if err := validName(name); err != nil {
		return "", err
	}
	base := stamp + "-" + name
	if len(base) > 240 {
		base = base[:240]
	}
	for n := range 1000 {
		aside := base
		if n > 0 {
			aside = fmt.Sprintf("%s.%d", base, n)
		}
		err := unix.Renameat2(d.dirFd(), name, int(d.quarantine.Fd()), aside, unix.RENAME_NOREPLACE)
		if errors.Is(err, unix.EEXIST) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("cannot quarantine %s: %w", filepath.Join(d.path, name), err)
		}
		d.changes.Add(1)
		d.held.drop(name)
		return aside, nil
	}
	return "", fmt.Errorf("cannot quarantine %s: no free name in %s", name, d.quarantine.Name())
}

// Size returns the size of an entry of the list directory in bytes; for a directory, of
// everything in it. It stops counting beyond most, because a directory may contain anything.
func (d *Dir) Size(name string, most int64) (int64, error) {
	return sizeIn(d.dir, name, most)
}

func sizeIn(dir *os.File, name string, most int64) (int64, error) {
	if err := validName(name); err != nil {
		return 0, err
	}
	stamp, err := stampIn(dir, name)
	if err != nil || stamp.Regular {
		return stamp.Size, err
	}
	const entry = 4096 // minimum cost of an entry
	size := int64(0)
	path := fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), name)
	err = filepath.WalkDir(path, func(_ string, e fs.DirEntry, err error) error {
		if size += entry; size > most {
			return fs.SkipAll
		}
		if err != nil {
			return nil // a directory that cannot be read counts as one entry
		}
		if info, err := e.Info(); err == nil && e.Type().IsRegular() {
			size += info.Size()
		}
		return nil
	})
	return size, err
}

// Quarantined returns the names of all entries in quarantine, in no order.
func (d *Dir) Quarantined() ([]string, error) {
	names, err := readNames(d.quarantine)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", d.QuarantinePath(), err)
	}
	return names, nil
}

// QuarantinedSize returns the size of an entry in quarantine, like Size.
func (d *Dir) QuarantinedSize(name string, most int64) (int64, error) {
	return sizeIn(d.quarantine, name, most)
}

// syncers is how many lists are made durable at a time. Each asks the device to
// flush its cache, which the kernel does once for all who wait for it.
const syncers = 16

// Sync makes these lists and the changes of the directory durable. It does not write the rest of
// the file system, where a package manager has just unpacked files.
func (d *Dir) Sync(names ...string) error {
	if err := d.SyncLists(names); err != nil {
		return err
	}
	done, err := d.inherited.end()
	if err != nil {
		return err
	}
	changes := d.changes.Load()
	if !done || changes > inheritedChanges {
		if err := d.fsync(); err != nil {
			return err
		}
	}
	d.synced.Store(changes)
	return nil
}

func (d *Dir) fsync() error {
	if err := unix.Fsync(d.dirFd()); err != nil {
		return fmt.Errorf("cannot sync %s: %w", d.path, err)
	}
	return nil
}

// Dirty reports whether a list was added or removed since the latest Sync or SyncAll.
func (d *Dir) Dirty() bool { return d.synced.Load() < d.changes.Load() }

// SyncLists makes the content of those of these lists durable that exist. It may run
// concurrently with the owner of the Dir.
func (d *Dir) SyncLists(names []string) error {
	// Writing starts for all lists before the first wait. This is a hint, and may fail.
	if len(names) > 1 {
		d.each(names, func(fd int) error { return unix.SyncFileRange(fd, 0, 0, unix.SYNC_FILE_RANGE_WRITE) })
	}
	errs := make([]error, min(syncers, len(names)))
	var syncing sync.WaitGroup
	for i := range errs {
		part := names[i*len(names)/len(errs) : (i+1)*len(names)/len(errs)]
		syncing.Go(func() { errs[i] = d.each(part, unix.Fdatasync) })
	}
	syncing.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("cannot sync %s: %w", d.path, err)
	}
	return nil
}

// each calls fn for each of these lists that exists, and returns the first error.
func (d *Dir) each(names []string, fn func(fd int) error) (first error) {
	for _, name := range names {
		fd, err := unix.Openat(d.dirFd(), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err == nil {
			err = errors.Join(fn(fd), unix.Close(fd))
		}
		if err != nil && first == nil {
			first = fmt.Errorf("list %s: %w", name, err)
		}
	}
	return first
}

// SyncAll makes the directory and its whole file system durable: for many lists this is the
// fastest way.
func (d *Dir) SyncAll() error {
	if _, err := d.inherited.end(); err != nil {
		return err
	}
	changes := d.changes.Load()
	if err := unix.Syncfs(d.dirFd()); err != nil {
		return fmt.Errorf("cannot sync %s: %w", d.path, err)
	}
	d.synced.Store(changes)
	return nil
}
