// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/kernel"
	"github.com/digestd/digestd/rpmdb"
	"golang.org/x/sys/unix"
)

// lookDatabase reads rpm's database as digestd does, and compares.
func lookDatabase(ctx context.Context, p *patient) {
	dir := filepath.Join(p.conf.Root, p.conf.DBPath)
	if p.conf.DBPath == "" {
		var err error
		if dir, err = rpmdb.Locate(p.conf.Root); err != nil {
			p.badDatabase(err)
			return
		}
	}
	db, err := rpmdb.Open(dir)
	if err != nil {
		p.badDatabase(err)
		return
	}
	packages := 0
	err = db.Headers(ctx, func(_ uint32, blob []byte) error {
		h, err := header.Parse(blob)
		if err != nil {
			return err
		}
		name, err := h.String(header.TagName)
		if err == nil && name != "gpg-pubkey" {
			packages++
		}
		return err
	})
	if err != nil {
		p.badDatabase(err)
		return
	}
	p.ok("%s database in %s, %s", db.Kind(), db.Dir(), plural(packages, "package"))
	st, err := p.status()
	switch {
	case err != nil || st.Transaction:
	case st.DatabasePath != "" && !sameFile(st.DatabasePath, dir):
		p.fail("systemctl restart digestd", "digestd reads the database in %s", st.DatabasePath)
	case st.Packages != packages:
		p.warn("digestctl sync", "digestd knows %s", plural(st.Packages, "package"))
	}
}

func (p *patient) badDatabase(err error) {
	switch {
	case errors.Is(err, fs.ErrPermission) && !p.Root:
		p.unseen(err)
	case errors.Is(err, rpmdb.ErrNoDatabase):
		p.fail("rpm --eval %_dbpath", "%v", err)
		p.advise("if rpm keeps it elsewhere, set dbpath in %s", p.Config)
	case errors.Is(err, rpmdb.ErrBerkeleyDB):
		p.fail("rpm --eval %_db_backend", "%v", err)
		p.advise("%s", rpmdb.BerkeleyAdvice(p.conf.Root))
	default:
		p.fail("rpmdb --rebuilddb", "%v", err)
	}
}

func sameFile(a, b string) bool {
	fa, errA := os.Stat(a)
	fb, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(fa, fb)
}

// lookLists checks what the kernel asks of the directory, and what moving lists
// into it takes.
func lookLists(_ context.Context, p *patient) {
	lists := p.conf.Lists
	fi, err := os.Lstat(lists)
	switch {
	case isMissing(err):
		p.fail("systemctl restart digestd", "there is no %s: digestd vouches for no file", lists)
		return
	case err != nil:
		p.unseen(err)
		return
	case fi.Mode().Type() == fs.ModeSymlink:
		p.fail(fmt.Sprintf("rm %s && systemctl restart digestd", shell(lists)), "%s is a symbolic link, which the kernel does not follow", lists)
		return
	case !fi.IsDir():
		p.fail(fmt.Sprintf("mv %[1]s %[1]s.aside && systemctl restart digestd", shell(lists)), "%s is not a directory", lists)
		return
	}
	if uid, ours := owner(fi); !ours {
		p.fail("chown root: "+shell(lists), "%s belongs to user %d, who can remove lists", lists, uid)
	}
	switch mode := fi.Mode().Perm(); {
	case mode&0o022 != 0:
		p.fail("chmod 0755 "+shell(lists), "%s has mode %04o: other users can remove lists", lists, mode)
	case mode&0o055 != 0o055:
		p.warn("chmod 0755 "+shell(lists), "%s has mode %04o: users cannot read the lists", lists, mode)
	}
	for _, beside := range []string{lists + ".staging", lists + ".quarantine"} {
		other, err := os.Lstat(beside)
		switch {
		case isMissing(err):
			p.warn("systemctl restart digestd", "there is no %s", beside)
		case err != nil:
			p.unseen(err)
		case !other.IsDir() || device(other) != device(fi):
			p.fail(fmt.Sprintf("umount %[1]s; rmdir %[1]s; systemctl restart digestd", shell(beside)),
				"%s is not a directory on the same file system as %s: digestd cannot move lists between them", beside, lists)
		}
	}
	entries, err := os.ReadDir(lists)
	if err != nil {
		p.unseen(err)
		return
	}
	p.labels()
	if len(p.findings) == 0 {
		p.ok("%s, %s", lists, plural(len(entries), "list"))
	}
}

// labels looks whether files can be bound to lists where packages put programs.
func (p *patient) labels() {
	if !p.conf.Labels {
		return
	}
	dir := filepath.Join(p.conf.Root, "usr/bin")
	var buf [256]byte
	if _, err := unix.Lgetxattr(dir, kernel.LabelName, buf[:]); errors.Is(err, unix.EOPNOTSUPP) {
		p.warn("findmnt -T "+shell(dir), "the file system of %s does not support extended attributes of the kind %s", dir, kernel.LabelName)
		p.advise("the kernel will search every list for each file; set labels = false, or use a file system that supports them")
	}
}

func device(fi fs.FileInfo) uint64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return st.Dev
	}
	return 0
}

// lookState checks the directory of index and key.
func lookState(_ context.Context, p *patient) {
	state := p.conf.State
	fi, err := os.Lstat(state)
	switch {
	case isMissing(err):
		p.fail("systemctl restart digestd", "there is no %s: digestd never ran here, or its state was removed", state)
		return
	case err != nil:
		p.unseen(err)
		return
	case !fi.IsDir():
		p.fail(fmt.Sprintf("mv %[1]s %[1]s.aside && systemctl restart digestd", shell(state)), "%s is not a directory", state)
		return
	}
	if uid, ours := owner(fi); !ours {
		p.fail("chown root: "+shell(state), "%s belongs to user %d", state, uid)
	}
	if mode := fi.Mode().Perm(); mode&0o077 != 0 {
		p.fail("chmod 0700 "+shell(state), "%s has mode %04o: other users can read the signing key or change the index", state, mode)
	}
	index := filepath.Join(state, "index.db")
	size := int64(-1)
	for _, f := range []struct {
		path string
		mode fs.FileMode
	}{{index, 0o600}, {filepath.Join(state, "signing.key"), 0o600}} {
		fi, err := os.Lstat(f.path)
		switch {
		case isMissing(err):
			p.warn("systemctl restart digestd", "there is no %s", f.path)
		case err != nil:
			p.unseen(err)
			return
		case fi.Mode().Perm()&^f.mode != 0:
			p.fail(fmt.Sprintf("chmod %04o %s", f.mode, shell(f.path)), "%s has mode %04o", f.path, fi.Mode().Perm())
		case f.path == index:
			size = fi.Size()
		}
	}
	if aside, _ := filepath.Glob(index + ".aside-*"); len(aside) > 0 {
		p.warn("ls -l "+shell(state), "%s contains %d unusable indexes", state, len(aside))
		p.advise("find the cause, then remove them")
	}
	if len(p.findings) == 0 {
		p.ok("%s, index of %s", state, bytesOf(uint64(size)))
	}
}

// Less free space than this is a warning, or a failure.
const (
	littleSpace, noSpace   = 256 << 20, 16 << 20
	littleInodes, noInodes = 5000, 200
)

// lookSpace checks the file systems that digestd writes to.
func lookSpace(_ context.Context, p *patient) {
	said := map[uint64]bool{}
	for _, dir := range []string{p.conf.Lists, p.conf.State} {
		fi, err := os.Stat(dir)
		if isMissing(err) {
			dir = filepath.Dir(dir)
			fi, err = os.Stat(dir)
		}
		if err != nil {
			p.unseen(err)
			continue
		}
		if said[device(fi)] {
			continue
		}
		said[device(fi)] = true
		var st unix.Statfs_t
		if err := unix.Statfs(dir, &st); err != nil {
			p.unseen(err)
			continue
		}
		free := st.Bavail * uint64(st.Bsize)
		see := "df -h " + shell(dir) + "; df -i " + shell(dir)
		switch counted := st.Files > 0; {
		case free < noSpace:
			p.fail(see, "%s has %s left: digestd may be unable to write lists and decisions", dir, bytesOf(free))
		case counted && st.Ffree < noInodes:
			p.fail(see, "the file system of %s has %d inodes left: digestd may be unable to write lists", dir, st.Ffree)
		case free < littleSpace:
			p.warn(see, "%s has %s left", dir, bytesOf(free))
		case counted && st.Ffree < littleInodes:
			p.warn(see, "the file system of %s has %d inodes left", dir, st.Ffree)
		case counted:
			p.ok("%s: %s and %d inodes free", dir, bytesOf(free), st.Ffree)
		default:
			p.ok("%s: %s free", dir, bytesOf(free))
		}
	}
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// bytesOf prints a size as people read it.
func bytesOf(n uint64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 1<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}
