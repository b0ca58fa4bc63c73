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
func (q *Query) Keys(context.Context) ([]api.Key, error) {
	snap := q.snapshot()
	keys := make([]api.Key, 0, len(snap.Keys))
	for _, fingerprint := range slices.Sorted(maps.Keys(snap.Keys)) {
		keys = append(keys, snap.DescribeKey(snap.Keys[fingerprint], q.now()))
	}
	there := q.readKernelKeys()
	return there.merge(keys), nil
}

// Key returns one key.
func (q *Query) Key(_ context.Context, id string) (api.Key, error) {
	snap, there := q.snapshot(), q.readKernelKeys()
	k, err := snap.FindKey(id)
	if err == nil {
		return there.merge([]api.Key{snap.DescribeKey(k, q.now())})[0], nil
	}
	for _, k := range there.keys {
		if strings.HasSuffix(k.Fingerprint, strings.ToLower(id)) && len(id) >= 8 {
			return k, nil
		}
	}
	return api.Key{}, err
}

// KeyRevoke withdraws all that a key vouches for.
func (ad *Admin) KeyRevoke(ctx context.Context, by api.Actor, id, reason string) (api.Key, error) {
	return ad.revokeKey(ctx, by, id, reason)
}

// KeyRestore lifts a revocation.
func (ad *Admin) KeyRestore(ctx context.Context, by api.Actor, id, reason string) (api.Key, error) {
	return ad.restoreKey(ctx, by, id, reason)
}
