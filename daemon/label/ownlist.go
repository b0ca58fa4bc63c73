// SPDX-License-Identifier: Apache-2.0

package label

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/kernel"
	"golang.org/x/sys/unix"
)

// BindOwn labels the files of an own list whose content is body, but for those that the
// list of a package has, under their path and with their content: these stay bound to it.
// r counts what becomes of the files; ctx ends it early, which is an error.
func (l *Labels) BindOwn(ctx context.Context, list string, imported bool, body []byte, r *api.OwnResult, report func(stage string, done, total int)) error {
	if !l.Config.Labels {
		return nil
	}
	snap := l.Snapshot()
	var left []leftFile
	n := 0
	err := digestlist.WalkTLV(body, func(algo digestlist.Algo, digest, p []byte) error {
		if n++; n%1024 == 0 {
			report("labelling", n, r.Files)
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		if snap.PackageHas(digest, p) {
			r.Kept++
			return nil
		}
		f, err := l.findOwned(p, imported)
		if err != nil {
			if missing(err) {
				r.Missing++
				return nil
			}
			left = append(left, leftFile{string(p), err})
			return nil
		}
		defer f.Close()
		label, err := f.Label()
		switch {
		case err == nil && label == list:
			err = f.RenewLabel(list) // the kernel must not go by what the list said before
		case err == nil:
			if err = l.holds(ctx, f, algo, digest); err == nil {
				err = f.SetLabel(list)
			}
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errOtherContent):
			r.Missing++ // somebody changed or exchanged it since it was hashed
		case errors.Is(err, unix.EACCES) && label == "":
			r.Unlabelled++ // digestd may not read it, and so cannot compare
		case unlabelled(err) && label == "":
			r.Unlabelled++ // without one, the kernel looks into every list
		case err != nil:
			left = append(left, leftFile{string(p), err})
		case label != list:
			r.Labelled++
		}
		return nil
	})
	l.leaveLabels(left)
	if err != nil {
		return fmt.Errorf("the list is published, but some files are not labelled: %w", err)
	}
	report("labelling", r.Files, r.Files)
	return nil
}

// missing reports whether a path leads to nothing that has a label.
func missing(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, kernel.ErrNotRegular) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENAMETOOLONG)
}

// unlabelled reports whether a file cannot have a label where it lies.
func unlabelled(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EROFS) || errors.Is(err, unix.EPERM)
}

// FreeFiles takes the label of an own list from files that it no longer has: those of body that
// are not in now, nil for none. If the list of a package has the path, or another own list has
// the path and the content, it binds the file to that list. r counts them.
func (l *Labels) FreeFiles(ctx context.Context, gone *view.Entry, body, now []byte, r *api.OwnResult, report func(stage string, done, total int)) error {
	if !l.Config.Labels {
		return nil
	}
	kept := map[uint64]bool{}
	if now != nil {
		digestlist.WalkTLV(now, func(_ digestlist.Algo, _, p []byte) error {
			kept[view.PathRef(p)] = true
			return nil
		})
	}
	snap := l.Snapshot()
	var left []leftFile
	defer func() { l.leaveLabels(left) }()
	n := 0
	return digestlist.WalkTLV(body, func(algo digestlist.Algo, digest, p []byte) error {
		if n++; n%1024 == 0 {
			report("unlabelling", n, gone.Files)
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		if kept[view.PathRef(p)] {
			return nil
		}
		f, err := l.Root.Find(string(p), false)
		if err != nil {
			return nil // gone, or nothing that has a label
		}
		defer f.Close()
		if label, err := f.Label(); err != nil || label != gone.Name {
			return nil
		}
		heir := snap.Heir(gone.Name, digest, p)
		if e := snap.List(heir); e != nil && e.Own != "" && (!e.Refs.HasDigest(view.DigestRef(digest)) || l.holds(ctx, f, algo, digest) != nil) {
			heir = "" // it has another content there
		}
		if err = f.RemoveLabel(); heir != "" {
			err = f.SetLabel(heir)
		}
		if err != nil {
			left = append(left, leftFile{string(p), err})
			return nil
		}
		r.Labelled++
		return nil
	})
}
