// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"time"

	"github.com/digestd/digestd/daemon/api"
)

// A decision that must not be undone is anchored before it is answered, or the answer says that
// it is not anchored yet.

// KeyRevoke is [admin.Admin.KeyRevoke], anchored.
func (d *Daemon) KeyRevoke(ctx context.Context, by api.Actor, id, reason string) (api.Key, error) {
	k, err := d.Admin.KeyRevoke(ctx, by, id, reason)
	if err == nil {
		k.Anchor = d.anchored(ctx)
	}
	return k, err
}

// Deny is [admin.Admin.Deny], anchored.
func (d *Daemon) Deny(ctx context.Context, by api.Actor, what, path, reason, ticket string, expires time.Time) (api.Denial, error) {
	denial, err := d.Admin.Deny(ctx, by, what, path, reason, ticket, expires)
	if err == nil {
		denial.Anchor = d.anchored(ctx)
	}
	return denial, err
}

// DenialsImport is [admin.Admin.DenialsImport], anchored.
func (d *Daemon) DenialsImport(ctx context.Context, by api.Actor, document []byte, dryRun bool) (api.DenialImport, error) {
	r, err := d.Admin.DenialsImport(ctx, by, document, dryRun)
	if err == nil && !dryRun {
		r.Anchor = d.anchored(ctx)
	}
	return r, err
}

// anchored waits for the anchor. It is "" where there is none.
func (d *Daemon) anchored(ctx context.Context) string {
	if how := d.Anchor.Settled(ctx); how != api.AnchorNone {
		return how
	}
	return ""
}
