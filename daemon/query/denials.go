// SPDX-License-Identifier: Apache-2.0

package query

import (
	"cmp"
	"context"
	"slices"

	"github.com/digestd/digestd/daemon/api"
)

// Denials returns a page of all denials, those of this machine and of other authorities, by
// ID.
func (q *Query) Denials(_ context.Context, offset, limit uint32) ([]api.Denial, uint32, error) {
	snap := q.Snapshot()
	lists := snap.ListsByDenial()
	all := make([]api.Denial, 0, len(snap.Denied))
	for id := range snap.Denied {
		all = append(all, snap.DescribeDenial(id, lists))
	}
	for _, f := range snap.Denials.Foreign() {
		all = append(all, snap.DescribeForeign(f, lists))
	}
	slices.SortFunc(all, func(a, b api.Denial) int { return cmp.Compare(a.ID, b.ID) })
	denials, total := page(all, offset, limit)
	return denials, total, nil
}
