// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/digestd/digestd/daemon/api"
)

// Keys returns every key that vouches or ever did, and what is in the kernel's
// keyrings.
func (d *Daemon) Keys(context.Context) ([]api.Key, error) {
	snap := d.snapshot()
	keys := make([]api.Key, 0, len(snap.Keys))
	for _, fingerprint := range slices.Sorted(maps.Keys(snap.Keys)) {
		keys = append(keys, snap.DescribeKey(snap.Keys[fingerprint], d.now()))
	}
	there := d.readKernelKeys()
	return there.merge(keys), nil
}

// Key returns one key.
func (d *Daemon) Key(_ context.Context, id string) (api.Key, error) {
	snap, there := d.snapshot(), d.readKernelKeys()
	k, err := snap.FindKey(id)
	if err == nil {
		return there.merge([]api.Key{snap.DescribeKey(k, d.now())})[0], nil
	}
	for _, k := range there.keys {
		if strings.HasSuffix(k.Fingerprint, strings.ToLower(id)) && len(id) >= 8 {
			return k, nil
		}
	}
	return api.Key{}, err
}

// KeyRevoke withdraws all that a key vouches for.
func (d *Daemon) KeyRevoke(ctx context.Context, by api.Actor, id, reason string) (api.Key, error) {
	return d.revokeKey(ctx, by, id, reason)
}

// KeyRestore lifts a revocation.
func (d *Daemon) KeyRestore(ctx context.Context, by api.Actor, id, reason string) (api.Key, error) {
	return d.restoreKey(ctx, by, id, reason)
}
