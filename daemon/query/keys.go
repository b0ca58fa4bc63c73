// SPDX-License-Identifier: Apache-2.0

package query

import (
	"context"
	"maps"
	"slices"

	"github.com/digestd/digestd/daemon/api"
)

// Keys returns every key that vouches for packages, signs lists or ever did, by its
// fingerprint, and then what the kernel's keyrings have besides.
func (q *Query) Keys(context.Context) ([]api.Key, error) {
	snap := q.Snapshot()
	keys := make([]api.Key, 0, len(snap.Keys))
	for _, fingerprint := range slices.Sorted(maps.Keys(snap.Keys)) {
		keys = append(keys, snap.DescribeKey(snap.Keys[fingerprint], q.Now()))
	}
	there := q.readKernelKeys()
	return there.merge(keys), nil
}

// Key returns the key that id names (as view.NamesKey reads it): of all that [Query.Keys]
// returns, those that the kernel alone has come last. [api.NotFound] says that there is none,
// [api.InvalidArgument] that several have that end.
func (q *Query) Key(_ context.Context, id string) (api.Key, error) {
	snap, there := q.Snapshot(), q.readKernelKeys()
	k, err := snap.FindKey(id)
	switch {
	case err == nil:
		return there.merge([]api.Key{snap.DescribeKey(k, q.Now())})[0], nil
	case api.AsError(err).Code != api.NotFound:
		return api.Key{}, err
	}
	switch found := there.named(id); len(found) {
	case 0:
		return api.Key{}, err
	case 1:
		return found[0], nil
	default:
		return api.Key{}, api.Errorf(api.InvalidArgument, "%q is the end of %d keys: give the whole fingerprint", id, len(found))
	}
}
