// SPDX-License-Identifier: Apache-2.0

package query

import (
	"cmp"
	"context"
	"slices"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store/record"
)

// Order returns a page of the numbered lists, in order, as decided last: the name of a list
// follows soon after.
func (q *Query) Order(_ context.Context, offset, limit uint32) (lists []api.Ordered, total uint32, state api.Order, err error) {
	snap, order := q.Snapshot(), q.Builder.Load().Order
	var all []api.Ordered
	for _, e := range snap.Entries {
		if e.Change == record.Moving {
			continue
		}
		list := digestlist.WithoutSequence(e.Name)
		name := order.NameOf(list, e.Package, snap.Lines[view.LineOf(e.Package)].Multi)
		if seq, has, _, _, err := digestlist.ParseName(name); err == nil && has {
			all = append(all, api.Ordered{Sequence: seq, List: list, Active: e.Active(), NEVRA: e.Package.String()})
		}
	}
	slices.SortFunc(all, func(a, b api.Ordered) int {
		return cmp.Or(cmp.Compare(a.Sequence, b.Sequence), cmp.Compare(a.List, b.List))
	})
	lists, total = page(all, offset, limit)
	return lists, total, api.Order{Prefetch: snap.Prefetch, Numbered: len(all)}, nil
}
