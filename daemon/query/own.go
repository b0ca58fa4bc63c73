// SPDX-License-Identifier: Apache-2.0

package query

import (
	"context"
	"maps"
	"slices"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger"
)

// Owns returns every own list, also those that were removed, by name.
func (q *Query) Owns(context.Context) ([]api.Own, error) {
	snap := q.Snapshot()
	lists := make([]api.Own, 0, len(snap.Own))
	for _, name := range slices.Sorted(maps.Keys(snap.Own)) {
		o := snap.DescribeOwn(snap.Own[name])
		o.Sources = nil // for Own
		lists = append(lists, o)
	}
	return lists, nil
}

// Own returns one own list.
func (q *Query) Own(_ context.Context, name string) (api.Own, error) {
	snap := q.Snapshot()
	o, ok := snap.Own[name]
	if !ok {
		return api.Own{}, ledger.ErrNoOwn(name)
	}
	return snap.DescribeOwn(o), nil
}
