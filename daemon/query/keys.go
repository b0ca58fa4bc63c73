// SPDX-License-Identifier: Apache-2.0

package query

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
	snap := q.Snapshot()
	keys := make([]api.Key, 0, len(snap.Keys))
	for _, fingerprint := range slices.Sorted(maps.Keys(snap.Keys)) {
		keys = append(keys, snap.DescribeKey(snap.Keys[fingerprint], q.Now()))
	}
	there := q.ReadKernelKeys()
	return there.merge(keys), nil
}

// Key returns one key.
func (q *Query) Key(_ context.Context, id string) (api.Key, error) {
	snap, there := q.Snapshot(), q.ReadKernelKeys()
	k, err := snap.FindKey(id)
	if err == nil {
		return there.merge([]api.Key{snap.DescribeKey(k, q.Now())})[0], nil
	}
	for _, k := range there.ByID {
		if strings.HasSuffix(k.Fingerprint, strings.ToLower(id)) && len(id) >= 8 {
			return k, nil
		}
	}
	return api.Key{}, err
}
