// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/verify"
	"github.com/digestd/digestd/kernel"
	"golang.org/x/sys/unix"
)

// maxDepth bounds the depth of directories: each is open while those below it are searched.
const maxDepth = 256

// search looks for executables without a list: in the whole tree, or at and below the
// paths that are wanted.
func (e *engine) search(ctx context.Context) error {
	if e.spec.Tree {
		return cmp.Or(e.searchTree(ctx, "/"), e.tellQuiet(ctx))
	}
	for i, top := range e.real {
		if slices.ContainsFunc(e.real[:i], func(earlier string) bool { return below(top, earlier) }) {
			continue // it was verified already
		}
		if err := e.searchTop(ctx, top); err != nil {
			return err
		}
	}
	return e.tellQuiet(ctx)
}

// searchTop verifies a named path: a file, or a directory with everything below it.
func (e *engine) searchTop(ctx context.Context, top string) (err error) {
	err = e.searchTree(ctx, top)
	if !absent(err) && !errors.Is(err, unix.ELOOP) {
		return err
	}
	u := e.beginDir(top)
	if u == nil {
		return ctx.Err()
	}
	defer func() { err = cmp.Or(err, e.endDir(ctx, u)) }()
	complain := func(kind, text string) {
		u.found(named(top, api.Finding{Kind: kind, Severity: api.SeverityError, Text: text}))
	}
	file, err := e.root.Find(top, true)
	switch {
	case err == nil && (e.index.has(e.index.paths, top) || e.index.has(e.index.covered, top)):
		return file.Close()
	case err == nil:
		return e.add(ctx, u, func(h *hasher) { h.stray(u, top, file, true) })
	case errors.Is(err, kernel.ErrNotRegular):
		complain(api.FindingUnreadable, "is neither a regular file nor a directory, and cannot be vouched for")
	case !absent(err):
		complain(api.FindingUnreadable, "cannot be read: "+reason(err))
	case !e.index.has(e.index.paths, top):
		complain(api.FindingMissing, "there is no such file")
	}
	return nil
}

// node is a directory whose subdirectories are being searched.
type node struct {
	dir  *kernel.Dir
	path string
	subs []string // remaining subdirectories
}

// searchTree searches all directories from the top down, in order.
func (e *engine) searchTree(ctx context.Context, top string) error {
	dir, err := e.root.OpenDir(top)
	if err != nil {
		return err
	}
	real, err := dir.Path()
	if err == nil {
		real, err = e.root.Inside(real)
	}
	if err != nil {
		dir.Close()
		return err
	}
	stack := []*node{{dir: dir, path: real}}
	defer func() {
		for _, n := range stack {
			n.dir.Close()
		}
	}()
	if stack[0].subs, err = e.searchDir(ctx, stack[0]); err != nil {
		return err
	}
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		if len(n.subs) == 0 {
			n.dir.Close()
			stack = stack[:len(stack)-1]
			continue
		}
		name := n.subs[0]
		n.subs = n.subs[1:]
		child := path.Join(n.path, name)
		if e.passed(child) {
			continue
		}
		dir, err := e.enterDir(ctx, stack, name, child)
		if err != nil {
			return err
		}
		if dir == nil {
			continue
		}
		next := &node{dir: dir, path: child}
		stack = append(stack, next)
		if next.subs, err = e.searchDir(ctx, next); err != nil {
			return err
		}
	}
	return nil
}

// passed reports whether an earlier run has finished a directory and everything below it.
func (e *engine) passed(dir string) bool {
	after := string(e.spec.After.Dir)
	return after != "" && compareDirs(dir, after) < 0 && !below(after, dir)
}

// compareDirs orders directories: first a directory, then everything below it, then its next
// sibling.
func compareDirs(a, b string) int {
	return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
}

// enterDir opens a directory for the search. It returns nil if the search skips it.
func (e *engine) enterDir(ctx context.Context, stack []*node, name, child string) (*kernel.Dir, error) {
	parent := stack[len(stack)-1].dir
	dir, err := parent.Child(name)
	if absent(err) || errors.Is(err, unix.ELOOP) {
		return nil, nil // it is gone, or is not a directory any more
	}
	if err != nil {
		return nil, e.complain(ctx, child, "cannot be read: "+reason(err))
	}
	if dir.Stat.Dev != parent.Stat.Dev && !local(dir) {
		dir.Close()
		return nil, nil
	}
	for _, n := range stack {
		if n.dir.Stat.Ino == dir.Stat.Ino && n.dir.Stat.Dev == dir.Stat.Dev {
			dir.Close()
			return nil, e.complain(ctx, child, "is the same directory as "+n.path+", mounted below itself: not read")
		}
	}
	if len(stack) >= maxDepth {
		dir.Close()
		return nil, e.complain(ctx, child, "is nested too deeply: not read")
	}
	return dir, nil
}

// complain reports a directory that could not be read.
func (e *engine) complain(ctx context.Context, dir, text string) error {
	u := e.beginDir(dir)
	if u == nil {
		return ctx.Err()
	}
	u.found(named(dir, api.Finding{Kind: api.FindingUnreadable, Severity: api.SeverityError, Text: text}))
	return e.endDir(ctx, u)
}

// maxQuiet is how many directories in a row without findings are reported as one.
const maxQuiet = 256

// beginDir begins the unit of a directory. It returns nil if an earlier run has finished it.
func (e *engine) beginDir(dir string) *unit {
	e.dirs.Add(1)
	if after := string(e.spec.After.Dir); after != "" && compareDirs(dir, after) <= 0 {
		return nil
	}
	return newUnit(verify.Unit{Cursor: verify.Cursor{Tree: true, Dir: verify.Path(dir)}})
}

// endDir reports a directory's unit, or counts it as quiet.
func (e *engine) endDir(ctx context.Context, u *unit) error {
	defer u.finish()
	if u.tasks == 0 && len(u.Findings) == 0 {
		if e.quiet, e.quiets = u, e.quiets+1; e.quiets < maxQuiet {
			return ctx.Err()
		}
		return e.tellQuiet(ctx)
	}
	return cmp.Or(e.tellQuiet(ctx), e.begin(ctx, e.found, u))
}

// tellQuiet reports the latest of the quiet directories.
func (e *engine) tellQuiet(ctx context.Context) error {
	u := e.quiet
	if e.quiet, e.quiets = nil, 0; u == nil {
		return ctx.Err()
	}
	return e.begin(ctx, e.found, u)
}

// searchDir verifies the files of one directory and returns its subdirectories.
func (e *engine) searchDir(ctx context.Context, n *node) (subs []string, err error) {
	u := e.beginDir(n.path)
	if u != nil {
		defer func() { err = cmp.Or(err, e.endDir(ctx, u)) }()
	}
	err = n.dir.Each(func(name string, kind fs.FileMode) error {
		switch {
		case kind.IsDir():
			subs = append(subs, name)
			return nil
		case !kind.IsRegular() || u == nil:
			return nil
		}
		return e.searchFile(ctx, u, n, name)
	})
	slices.Sort(subs)
	if err != nil && ctx.Err() == nil && u != nil {
		u.found(named(n.path, api.Finding{Kind: api.FindingUnreadable, Severity: api.SeverityError, Text: "cannot be read: " + reason(err)}))
		err = nil
	}
	return subs, err
}

func (e *engine) searchFile(ctx context.Context, u *unit, n *node, name string) error {
	full := strings.TrimSuffix(n.path, "/") + "/" + name
	if e.index.has(e.index.paths, full) || e.index.has(e.index.covered, full) {
		return nil
	}
	file, err := n.dir.Find(name)
	if err != nil {
		if !absent(err) && !errors.Is(err, kernel.ErrNotRegular) {
			u.found(named(full, api.Finding{Kind: api.FindingUnreadable, Severity: api.SeverityError, Text: "cannot be read: " + reason(err)}))
		}
		return nil
	}
	if !executable(name, &file.Stat) {
		return file.Close()
	}
	if err := e.add(ctx, u, func(h *hasher) { h.stray(u, full, file, false) }); err != nil {
		file.Close()
		return err
	}
	return nil
}

// executable reports whether a file could run: by itself, in a process, or in the kernel.
func executable(name string, st *unix.Stat_t) bool {
	base := path.Base(name)
	return st.Mode&0o111 != 0 || strings.HasSuffix(base, ".so") || strings.Contains(base, ".so.") ||
		strings.HasSuffix(base, ".ko") || strings.Contains(base, ".ko.")
}

// local reports whether the search enters a mounted file system: it must be on a disk of this
// machine and store data.
func local(dir *kernel.Dir) bool {
	kind, err := dir.FileSystem()
	return err == nil && slices.Contains([]int64{
		unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC, unix.MSDOS_SUPER_MAGIC,
		unix.EXFAT_SUPER_MAGIC, unix.SQUASHFS_MAGIC, unix.EROFS_SUPER_MAGIC_V1, unix.REISERFS_SUPER_MAGIC,
		0x2fc12fc1, // zfs
		0xca451a4e, // bcachefs
	}, kind)
}
