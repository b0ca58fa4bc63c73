// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/reconcile"
	"github.com/digestd/digestd/daemon/signer"
)

// Reconcile brings the lists in step with rpm's database once, instead of Run,
// and labels the files: on this root the plugin did not.
func (d *Daemon) Reconcile(ctx context.Context) (api.SyncResult, error) {
	ownerCtx, stopOwner := context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		stopOwner()
		<-d.Exec.Closed
	}()
	go d.Exec.Run(ownerCtx)
	result, err := d.rooms.Reconciler.Run(ctx, reconcile.ReasonAsked, func(string, int, int) {})
	if err == nil && d.Config.Labels {
		d.rooms.Labels.BindAll()
	}
	return result, err
}

// KeyInFile reports whether the key that signs is in the state directory itself, and
// not in a token or a TPM.
func (d *Daemon) KeyInFile() bool { return signer.InFile(d.Builder.Load().Identity.Key) }
