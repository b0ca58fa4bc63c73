// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"io/fs"

	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/kernel"
	"github.com/digestd/digestd/store"
)

// rebind finds the files that are bound to the list of e, which is about to go
// or gone, and binds them to another active list that has the same path: one
// path may belong to several packages, a file can name only one list.
func (d *Daemon) rebind(e *entry) {
	if !d.config.Labels || e.refs == nil {
		return
	}
	snap := d.snapshot()
	var heirs []*entry
	for _, other := range snap.entries {
		if other.active() && other.Name != e.Name && sharesPath(e.refs, other.refs) {
			heirs = append(heirs, other)
		}
	}
	if len(heirs) == 0 {
		return
	}
	for _, heir := range heirs {
		d.bind(heir, func(label string) bool { return label == e.Name })
	}
}

// sharesPath merges two sorted slices until it finds what both have.
func sharesPath(a, b *refs) bool {
	if a == nil || b == nil {
		return false
	}
	for i, j := 0, 0; i < len(a.paths) && j < len(b.paths); {
		switch {
		case a.paths[i] == b.paths[j]:
			return true
		case a.paths[i] < b.paths[j]:
			i++
		default:
			j++
		}
	}
	return false
}

// bind labels the regular files of a list whose present label is stale.
func (d *Daemon) bind(e *entry, stale func(label string) bool) {
	data, err := d.dir.Read(e.Name, nil)
	if err == nil {
		err = d.eachLabelled(e.Name, data, func(f *kernel.File, label string) error {
			if !stale(label) {
				return nil
			}
			return f.SetLabel(e.Name)
		})
	}
	if err != nil {
		d.log.Warn("files not relabelled", "list", e.Name, "error", err)
	}
}

// eachFile walks the files of a published list.
func (d *Daemon) eachFile(e *entry, fn func(algo digestlist.Algo, digest, path []byte) error) error {
	buf, ok := d.buffers.Get().(*[]byte)
	if !ok {
		buf = new([]byte)
	}
	defer d.buffers.Put(buf)
	data, err := d.dir.Read(e.Name, *buf)
	if err != nil {
		return err
	}
	*buf = data
	return walkList(e.Name, data, fn)
}

func walkList(name string, data []byte, fn func(algo digestlist.Algo, digest, path []byte) error) error {
	format, _, err := formatOf(name)
	if err != nil {
		return err
	}
	if body, _, _, err := digestlist.SplitSignature(data); err == nil {
		data = body
	}
	return digestlist.Walk(format, data, fn)
}

// refreshLabels writes the labels of files anew whose list is gone. The kernel
// then asks again, even if it had found the list in the instant before it left
// (kernel: security/integrity/digest_cache, reset on setxattr).
func (d *Daemon) refreshLabels(gone []withdrawn) {
	for _, w := range gone {
		d.rebind(w.entry)
	}
	if !d.config.Labels {
		return
	}
	for _, w := range gone {
		if w.data == nil {
			continue // it was not there, or is there still
		}
		name := w.entry.Name
		err := d.eachLabelled(name, w.data, func(f *kernel.File, label string) error {
			if label != name {
				return nil
			}
			return f.SetLabel(name)
		})
		if err != nil {
			d.log.Warn("labels not refreshed", "list", name, "error", err)
		}
	}
}

// eachLabelled calls fn for each regular file of a list that is there and has a
// label.
func (d *Daemon) eachLabelled(name string, list []byte, fn func(f *kernel.File, label string) error) error {
	return walkList(name, list, func(_ digestlist.Algo, _, path []byte) error {
		f, err := d.root.Find(string(path), false)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, kernel.ErrNotRegular) {
			return nil
		}
		if err != nil {
			return err
		}
		defer f.Close()
		label, err := f.Label()
		if err != nil || label == "" {
			return err
		}
		return fn(f, label)
	})
}

// relabelStale binds the files of lists that came without the plugin's help:
// by reconciliation, or by a transaction that wrote no files.
func (d *Daemon) relabelStale(names []string) {
	if !d.config.Labels {
		return
	}
	snap := d.snapshot()
	for _, name := range names {
		if e := snap.list(name); e != nil && e.State == store.Active {
			d.bind(e, func(label string) bool { return label != e.Name && !snap.isActive(label) })
		}
	}
}
