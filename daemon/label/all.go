// SPDX-License-Identifier: Apache-2.0

package label

import (
	"context"
	"errors"

	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store/record"
	"golang.org/x/sys/unix"
)

// BindAll labels every file that names no active list.
func (l *Labels) BindAll() {
	snap := l.Snapshot()
	for _, e := range snap.Entries {
		if e.State != record.Active {
			continue
		}
		if e.Own != "" {
			data, err := l.Dir.Read(e.Name, nil)
			if err != nil {
				l.Logger.Warn("files not labelled", "list", e.Name, "error", err)
				continue
			}
			l.leaveLabels(l.bindHeir(context.Background(), e, data, func(label string) bool { return label == "" || !snap.IsActive(label) }))
			continue
		}
		var left []leftFile
		err := l.EachFile(e, func(_ digestlist.Algo, _, name []byte) error {
			path := e.Moved.Path(string(name))
			// Without labels, as on an EFI system partition, the kernel looks into every list.
			if err := l.labelUnbound(snap, e, path); err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
				left = append(left, leftFile{path, err})
			}
			return nil
		})
		if err != nil {
			l.Logger.Warn("files not labelled", "list", e.Name, "error", err)
		}
		l.leaveLabels(left)
	}
}

// labelUnbound labels a file of e unless it names an active list.
func (l *Labels) labelUnbound(snap *view.Snapshot, e *view.Entry, path string) error {
	f, err := l.Root.Find(path, false)
	if err != nil {
		if missing(err) {
			return nil
		}
		return err
	}
	defer f.Close()
	label, err := f.Label()
	if err != nil || label != "" && snap.IsActive(label) {
		return err
	}
	return f.SetLabel(e.Name)
}
