// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"io/fs"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/kernel"
	"github.com/digestd/digestd/store"
	"golang.org/x/sys/unix"
)

// Reconcile brings the lists in step with rpm's database once, instead of Run,
// and labels the files: on this root the plugin did not.
func (d *Daemon) Reconcile(ctx context.Context) (api.SyncResult, error) {
	ownerCtx, stopOwner := context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		stopOwner()
		<-d.owner.done
	}()
	go d.owner.run(ownerCtx)
	result, err := d.runSync(ctx, "asked for", func(string, int, int) {})
	if err == nil && d.config.Labels {
		d.labelAll()
	}
	return result, err
}

// labelAll labels every file that names no active list.
func (d *Daemon) labelAll() {
	snap := d.snapshot()
	for _, e := range snap.entries {
		if e.State != store.Active {
			continue
		}
		err := d.eachFile(e, func(_ digestlist.Algo, _, path []byte) error {
			f, err := d.root.Find(string(path), false)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, kernel.ErrNotRegular) {
				return nil
			}
			if err != nil {
				return err
			}
			defer f.Close()
			label, err := f.Label()
			if err != nil || label != "" && snap.isActive(label) {
				return err
			}
			return f.SetLabel(e.Name)
		})
		if err != nil {
			d.log.Warn("files not labelled", "list", e.Name, "error", err)
		}
		if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EROFS) {
			return // nor will others be
		}
	}
}
