// SPDX-License-Identifier: Apache-2.0

// Package label binds files to lists: each file names in an extended attribute the list
// that the kernel is to look into.
//
// A label that cannot be written is remembered and tried again; see [Labels.Run].
package label

import (
	"context"
	"errors"
	"io/fs"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/kernel"
	"github.com/digestd/digestd/store/record"
	"golang.org/x/sys/unix"
)

// Labels binds files to lists. It does nothing if the configuration switches labels off.
type Labels struct {
	*host.Host
	// Reached is called before the label of a file is looked at, and says why it cannot be
	// written. Only tests have one.
	Reached func() error
}

// Rebind finds the files that are bound to the list of e, which leaves the directory, and
// binds them to another active list with the same path. A path may belong to several
// packages, but a file names only one list.
func (l *Labels) Rebind(e *view.Entry) {
	if !l.Config.Labels || e.Refs == nil {
		return
	}
	snap := l.Snapshot()
	var heirs []*view.Entry
	for _, other := range snap.Entries {
		if other.Active() && other.Name != e.Name && sharesPath(e.Refs, other.Refs) {
			heirs = append(heirs, other)
		}
	}
	if len(heirs) == 0 {
		return
	}
	for _, heir := range heirs {
		l.Bind(heir, func(label string) bool { return label == e.Name })
	}
}

// sharesPath merges two sorted slices until it finds what both have.
func sharesPath(a, b *view.Refs) bool {
	if a == nil || b == nil {
		return false
	}
	for i, j := 0, 0; i < len(a.Paths) && j < len(b.Paths); {
		switch {
		case a.Paths[i] == b.Paths[j]:
			return true
		case a.Paths[i] < b.Paths[j]:
			i++
		default:
			j++
		}
	}
	return false
}

// Bind labels the regular files of a list whose present label is stale. It leaves files
// without a label alone: for these the kernel looks into every list.
func (l *Labels) Bind(e *view.Entry, stale func(label string) bool) {
	data, err := l.Dir.Read(e.Name, nil)
	if err != nil {
		l.Logger.Warn("files not relabelled", "list", e.Name, "error", err)
		return
	}
	if e.Own != "" {
		l.leaveLabels(l.bindHeir(context.Background(), e, data, func(label string) bool { return label != "" && stale(label) }))
		return
	}
	l.leaveLabels(l.eachLabelled(e, data, func(f *kernel.File, label string) error {
		if !stale(label) {
			return nil
		}
		return f.SetLabel(e.Name)
	}))
}

// Release first binds the files of a withdrawn list to other lists that have them, and
// writes the labels of the others again. The kernel then looks for a list again, even if it
// had found this one in the instant before it left (kernel: security/integrity/digest_cache,
// reset on setxattr). Code that withdraws a list calls Release before it answers.
func (l *Labels) Release(gone []ledger.Withdrawn) {
	if !l.Config.Labels {
		return
	}
	for _, w := range gone {
		l.Rebind(w.Entry)
	}
	l.Renew(gone)
}

// Renew writes the labels again of files that name these lists. It takes the contents of the
// lists from the arguments, otherwise from the directory.
func (l *Labels) Renew(lists []ledger.Withdrawn) {
	if !l.Config.Labels || len(lists) == 0 {
		return
	}
	failpoint.Hit("labels", "before-renewal")
	// Somebody may wait for thousands of lists.
	var group sync.WaitGroup
	var next atomic.Int64
	for range min(runtime.GOMAXPROCS(0), len(lists)) {
		group.Go(func() {
			for i := next.Add(1); i <= int64(len(lists)); i = next.Add(1) {
				l.renewList(lists[i-1])
			}
		})
	}
	group.Wait()
	failpoint.Hit("labels", "after-renewal")
}

func (l *Labels) renewList(w ledger.Withdrawn) {
	name, data := w.Entry.Name, w.Data
	if data == nil {
		var err error
		if data, err = l.Dir.Read(name, nil); errors.Is(err, fs.ErrNotExist) {
			return
		} else if err != nil {
			l.Logger.Warn("labels not written again", "list", name, "error", err)
			return
		}
	}
	l.leaveLabels(l.eachLabelled(w.Entry, data, func(f *kernel.File, label string) error {
		if label != name {
			return nil
		}
		return f.RenewLabel(name)
	}))
}

// eachLabelled calls fn for each regular file of a list that is there and has a
// label. A file for which that fails keeps nothing from the others: it is returned,
// unless it lies where there are no labels.
func (l *Labels) eachLabelled(e *view.Entry, list []byte, fn func(f *kernel.File, label string) error) (left []leftFile) {
	labels := l.Root.Labels()
	defer labels.Close()
	err := host.WalkList(e.Name, list, func(_ digestlist.Algo, _, name []byte) error {
		path := e.Moved.Path(string(name))
		if labels.None(path) {
			return nil
		}
		if err := l.withLabel([]byte(path), fn); err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
			left = append(left, leftFile{path, err})
		}
		return nil
	})
	if err != nil {
		l.Logger.Warn("files of a list not labelled", "list", e.Name, "error", err)
	}
	return left
}

// withLabel calls fn for a regular file if it is there and has a label.
func (l *Labels) withLabel(path []byte, fn func(f *kernel.File, label string) error) error {
	f, err := l.Root.Find(string(path), false)
	if err != nil {
		if missing(err) {
			return nil
		}
		return err
	}
	defer f.Close()
	label, err := f.Label()
	if err != nil || label == "" {
		return err
	}
	if l.Reached != nil {
		if err := l.Reached(); err != nil {
			return err
		}
	}
	return fn(f, label)
}

// BindStale binds the files of active lists whose labels name a list that is not active:
// files for which the plugin wrote no label, because of a comparison or a transaction that
// wrote no files.
func (l *Labels) BindStale(names []string) {
	if !l.Config.Labels {
		return
	}
	snap := l.Snapshot()
	for _, name := range names {
		if e := snap.List(name); e != nil && e.State == record.Active {
			l.Bind(e, func(label string) bool { return label != e.Name && !snap.IsActive(label) })
		}
	}
}

// RenewOmitted writes the labels again of files that a reduced list omits, so that the
// kernel drops its verdicts about them.
func (l *Labels) RenewOmitted(r *grounds.Reduction) {
	if !l.Config.Labels {
		return
	}
	var left []leftFile
	defer func() { l.leaveLabels(left) }()
	for _, listed := range r.Omitted.Paths {
		path := r.Entry.Moved.Path(string(listed))
		f, err := l.Root.Find(path, false)
		if err != nil {
			continue // there is no such file, or no regular one
		}
		if label, err := f.Label(); err == nil && label == r.Name {
			if err = f.RenewLabel(r.Name); err != nil {
				left = append(left, leftFile{path, err})
			}
		}
		f.Close()
	}
}
