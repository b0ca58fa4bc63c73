// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/signer"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store/record"
	"golang.org/x/sys/unix"
)

// Reconcile brings the lists in step with rpm's database once, instead of Run,
// and labels the files: on this root the plugin did not.
func (d *Daemon) Reconcile(ctx context.Context) (api.SyncResult, error) {
	ownerCtx, stopOwner := context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		stopOwner()
		<-d.exec.Closed
	}()
	go d.exec.Run(ownerCtx)
	result, err := d.reconciler.runSync(ctx, reasonAsked, func(string, int, int) {})
	if err == nil && d.config.Labels {
		d.labels.labelAll()
	}
	return result, err
}

// KeyInFile reports whether the key that signs is in the state directory itself, and
// not in a token or a TPM.
func (d *Daemon) KeyInFile() bool { return signer.InFile(d.maker.Load().identity.key) }

// labelAll labels every file that names no active list.
func (l *Labels) labelAll() {
	snap := l.snapshot()
	for _, e := range snap.Entries {
		if e.State != record.Active {
			continue
		}
		if e.Own != "" {
			data, err := l.dir.Read(e.Name, nil)
			if err != nil {
				l.log.Warn("files not labelled", "list", e.Name, "error", err)
				continue
			}
			l.leaveLabels(l.bindHeir(context.Background(), e, data, func(label string) bool { return label == "" || !snap.IsActive(label) }))
			continue
		}
		var left []leftFile
		err := l.eachFile(e, func(_ digestlist.Algo, _, name []byte) error {
			path := e.Moved.Path(string(name))
			// Where there are no labels, as on an EFI system partition, the kernel
			// looks into every list.
			if err := l.labelUnbound(snap, e, path); err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
				left = append(left, leftFile{path, err})
			}
			return nil
		})
		if err != nil {
			l.log.Warn("files not labelled", "list", e.Name, "error", err)
		}
		l.leaveLabels(left)
	}
}

// labelUnbound labels a file of e unless it names an active list.
func (l *Labels) labelUnbound(snap *view.Snapshot, e *view.Entry, path string) error {
	f, err := l.root.Find(path, false)
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
