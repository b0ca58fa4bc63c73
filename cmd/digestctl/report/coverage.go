// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/digestd/digestd/daemon/api"
)

// Coverage says how many executables, which are programs and libraries, active lists name. It
// compares paths only; digestctl verify compares contents.
type Coverage struct {
	Executables int         `json:"executables"`
	Named       int         `json:"named"`       // executables in active lists
	Directories []Directory `json:"directories"` // directories with executables, by path
	Lists       []Share     `json:"lists"`       // lists that name the most executables
	Unnamed     []Unnamed   `json:"unnamed"`     // the first executables that are in no active list
	Unreadable  int         `json:"unreadable"`  // directories that could not be read
	Cut         bool        `json:"cut"`         // there are more executables than were read
}

// Directory is the number of executables in a part of the tree.
type Directory struct {
	Path        string `json:"path"`
	Executables int    `json:"executables"`
	Named       int    `json:"named"`
}

// Share is the number of executables that a list names.
type Share struct {
	List        string `json:"list"`
	Package     string `json:"package"`
	Executables int    `json:"executables"`
}

// Unnamed is an executable that no active list names.
type Unnamed struct {
	Path    string `json:"path"`
	RawPath []byte `json:"rawPath,omitzero"` // the bytes, when they are not UTF-8
	Verdict string `json:"verdict,omitzero"` // as Why has it; "" when it was not asked
	Reason  string `json:"reason,omitzero"`
	Owner   string `json:"owner,omitzero"` // its package
}

// Bounds of what is looked at.
const (
	maxEntries     = 3_000_000 // of directories
	maxExecutables = 200_000
	maxUnnamed     = 200 // that are shown
	maxAsked       = 60  // that digestd is asked about
	maxAsking      = 20 * time.Second
	maxShares      = 12
)

// tops are the directories below which packages have executables.
var tops = []string{"usr", "opt", "bin", "sbin", "lib", "lib32", "lib64"}

// census is the executables below a root, by path, and which of them are named.
type census struct {
	named      map[string]bool
	moved      [][2]string // directories of the root that are links: prefix, what it stands for
	entries    int
	unreadable int
	cut        bool
}

var errEnough = errors.New("enough")

func takeCensus(ctx context.Context, root string) (*census, error) {
	c := &census{named: map[string]bool{}}
	for _, top := range tops {
		dir := filepath.Join(root, top)
		fi, err := os.Lstat(dir)
		if err != nil {
			continue
		}
		if fi.Mode().Type() == fs.ModeSymlink {
			// As /bin is of /usr/bin: lists may name the one or the other.
			if to, err := os.Readlink(dir); err == nil {
				c.moved = append(c.moved, [2]string{"/" + top + "/", "/" + strings.Trim(to, "/") + "/"})
			}
			continue
		}
		err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			return c.visit(ctx, root, path, d, err)
		})
		if err != nil && !errors.Is(err, errEnough) {
			return nil, err
		}
	}
	return c, nil
}

func (c *census) visit(ctx context.Context, root, path string, d fs.DirEntry, err error) error {
	if c.entries++; c.entries%1024 == 0 && ctx.Err() != nil {
		return ctx.Err()
	}
	switch {
	case err != nil:
		c.unreadable++
		return nil
	case c.entries > maxEntries, len(c.named) >= maxExecutables:
		c.cut = true
		return errEnough
	case !d.Type().IsRegular():
		return nil
	}
	library := strings.HasSuffix(path, ".so") || strings.Contains(filepath.Base(path), ".so.")
	if !library {
		fi, err := d.Info()
		if err != nil || fi.Mode()&0o111 == 0 {
			return nil
		}
	}
	rel, err := filepath.Rel(root, path)
	if err != nil {
		return err
	}
	c.named["/"+rel] = false
	return nil
}

// mark notes that a list names a path, and reports whether that is one of an
// executable.
func (c *census) mark(path string) bool {
	for _, m := range c.moved {
		if rest, ok := strings.CutPrefix(path, m[0]); ok {
			path = m[1] + rest
		}
	}
	_, ok := c.named[path]
	if ok {
		c.named[path] = true
	}
	return ok
}

// cover compares the executables of the tree with the entries of active lists.
func cover(ctx context.Context, src Source, root string, lists []api.List, tell func(string, uint64, uint64)) (Coverage, error) {
	tell("looking", 0, 0)
	c, err := takeCensus(ctx, root)
	if err != nil {
		return Coverage{}, fmt.Errorf("cannot search for executables: %w", err)
	}
	var out Coverage
	for i, l := range lists {
		if l.State != api.StateActive {
			continue
		}
		tell("comparing", uint64(i), uint64(len(lists)))
		share := Share{List: l.Name, Package: l.NEVRA}
		err := src.Files(ctx, l.Name, func(f api.File) {
			path := f.Path
			if len(f.RawPath) > 0 {
				path = string(f.RawPath)
			}
			if c.mark(path) {
				share.Executables++
			}
		})
		var gone *api.Error
		if err != nil && !(errors.As(err, &gone) && gone.Code == api.NotFound) { // gone since it was listed
			return out, err
		}
		if share.Executables > 0 {
			out.Lists = append(out.Lists, share)
		}
	}
	slices.SortStableFunc(out.Lists, func(a, b Share) int { return cmp.Compare(b.Executables, a.Executables) })
	out.Lists = append([]Share{}, out.Lists[:min(len(out.Lists), maxShares)]...)
	out.Unreadable, out.Cut = c.unreadable, c.cut
	out.count(c)
	out.ask(ctx, src, tell)
	return out, nil
}

// count fills in the numbers, and the paths that nothing names.
func (out *Coverage) count(c *census) {
	paths := make([]string, 0, len(c.named))
	for path := range c.named {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	dirs := map[string]*Directory{}
	out.Unnamed, out.Directories = []Unnamed{}, []Directory{}
	for _, path := range paths {
		dir := part(path)
		if dirs[dir] == nil {
			dirs[dir] = &Directory{Path: api.Clean(dir)}
		}
		dirs[dir].Executables++
		out.Executables++
		if c.named[path] {
			dirs[dir].Named++
			out.Named++
		} else if len(out.Unnamed) < maxUnnamed {
			u := Unnamed{Path: api.Clean(path)}
			if u.Path != path {
				u.RawPath = []byte(path)
			}
			out.Unnamed = append(out.Unnamed, u)
		}
	}
	for _, d := range dirs {
		out.Directories = append(out.Directories, *d)
	}
	slices.SortFunc(out.Directories, func(a, b Directory) int { return cmp.Compare(a.Path, b.Path) })
}

// part is the first two directories of a path.
func part(path string) string {
	fields := strings.SplitN(strings.TrimPrefix(path, "/"), "/", 3)
	return "/" + strings.Join(fields[:min(len(fields)-1, 2)], "/")
}

// ask lets digestd say why the first ones are in no active list. It reads them
// for that, so it is not asked about all.
func (out *Coverage) ask(ctx context.Context, src Source, tell func(string, uint64, uint64)) {
	ctx, cancel := context.WithTimeout(ctx, maxAsking)
	defer cancel()
	// Those of packages first: somebody may have changed them.
	defer slices.SortStableFunc(out.Unnamed, func(a, b Unnamed) int {
		return cmp.Compare(min(len(b.Owner), 1), min(len(a.Owner), 1))
	})
	for i := range out.Unnamed[:min(len(out.Unnamed), maxAsked)] {
		u := &out.Unnamed[i]
		tell("checking files", uint64(i), uint64(min(len(out.Unnamed), maxAsked)))
		path := u.Path
		if len(u.RawPath) > 0 {
			path = string(u.RawPath)
		}
		why, err := src.Why(ctx, path)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			continue
		}
		u.Verdict, u.Owner, u.Reason = why.Verdict, why.Owner, why.Text
		if why.Vouched {
			u.Reason = "its content is in an active list, under another path"
		}
		if len(why.Reasons) > 0 {
			u.Reason = why.Reasons[0]
		}
	}
}
