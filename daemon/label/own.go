// SPDX-License-Identifier: Apache-2.0

package label

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/kernel"
)

// The files of an own list may lie where others than root can exchange them: a directory for a
// link to /usr/bin, a file for another name of a package's. So a file is bound to an own list
// only if it is found by the very path that was recorded, with no link on the way, and has the
// content that the list has there. It compares and labels the same open file.

// errOtherContent means that a file is not what a list has under its path.
var errOtherContent = errors.New("it has another content than its list")

// findOwned finds a file of an own list, if it may be read. The paths of a list that
// was imported are those of another machine, where links may lie otherwise.
func (l *Labels) findOwned(path []byte, imported bool) (*kernel.File, error) {
	if imported {
		return l.Root.Find(string(path), false)
	}
	return l.Root.FindExact(string(path))
}

// holds returns nil if the file has that content, errOtherContent if another.
func (l *Labels) holds(ctx context.Context, f *kernel.File, algo digestlist.Algo, digest []byte) error {
	if algo.Hash() == 0 {
		return fmt.Errorf("cannot compare by %s", algo)
	}
	h := algo.Hash().New()
	buf, ok := l.Buffers.Get().(*[]byte)
	if !ok {
		buf = new([]byte)
	}
	defer l.Buffers.Put(buf)
	if cap(*buf) < 64<<10 {
		*buf = make([]byte, 64<<10)
	}
	err := f.Content((*buf)[:cap(*buf)], func(piece []byte) error {
		h.Write(piece)
		return ctx.Err()
	})
	if err == nil && !bytes.Equal(h.Sum(nil), digest) {
		err = errOtherContent
	}
	return err
}

// bindHeir labels the files of own list e, which are bound to another list until now
// that stale says is no reason to leave them so.
func (l *Labels) bindHeir(ctx context.Context, e *view.Entry, data []byte, stale func(label string) bool) (left []leftFile) {
	imported := l.Snapshot().Own[e.Own].Key != ""
	err := host.WalkList(e.Name, data, func(algo digestlist.Algo, digest, path []byte) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := l.bindOwned(ctx, e.Name, algo, digest, path, imported, stale); err != nil && !unlabelled(err) {
			left = append(left, leftFile{string(path), err})
		}
		return nil
	})
	if err != nil {
		l.Logger.Warn("files of a list not labelled", "list", e.Name, "error", err)
	}
	return left
}

func (l *Labels) bindOwned(ctx context.Context, list string, algo digestlist.Algo, digest, path []byte, imported bool, stale func(label string) bool) error {
	f, err := l.findOwned(path, imported)
	if err != nil {
		if missing(err) {
			return nil
		}
		return err
	}
	defer f.Close()
	label, err := f.Label()
	if err != nil || label == list || !stale(label) {
		return err
	}
	if err := l.holds(ctx, f, algo, digest); err != nil {
		if errors.Is(err, errOtherContent) {
			return nil
		}
		return err
	}
	return f.SetLabel(list)
}
