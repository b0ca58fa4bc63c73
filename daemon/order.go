// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store/record"
)

// OrderSet numbers lists in the order of their first use. uses are the paths of a
// measurement list, in its order; a list's number is its place among them, as
// digest-cache-tools gives it. If none is a list's, as on a kernel that reads no
// lists, the first use of any of its files counts.
func (ad *Admin) OrderSet(ctx context.Context, by api.Actor, uses [][]byte, reason string) (api.Order, error) {
	snap := ad.snapshot()
	known := map[string]bool{}
	for _, e := range snap.Entries {
		if e.Active() {
			known[digestlist.WithoutSequence(e.Name)] = true
		}
	}
	lists := map[string]uint32{}
	result := api.Order{}
	note := func(name string, at int) {
		result.Matched++
		if _, again := lists[name]; !again {
			lists[name] = uint32(at)
		}
	}
	for i, use := range uses {
		if name := digestlist.WithoutSequence(path.Base(string(use))); known[name] {
			note(name, i)
		}
	}
	if result.ByFiles = len(lists) == 0; result.ByFiles {
		for i, use := range uses {
			if e := snap.ListOfPath(ad.insideRoot(string(use))); e != nil {
				note(digestlist.WithoutSequence(e.Name), i)
			}
		}
	}
	if len(lists) == 0 {
		return result, &api.Error{Code: api.NotFound, Message: "none of these measurements is of a list that is active here, nor of a file of one",
			Advice: "give the measurement list of this machine: /sys/kernel/security/ima/ascii_runtime_measurements"}
	}
	result.Numbered, result.Prefetch = len(lists), snap.Prefetch
	return result, ad.setOrder(ctx, by, lists, fmt.Sprintf("%d lists numbered", len(lists)), reason)
}

// OrderClear takes the numbers away.
func (ad *Admin) OrderClear(ctx context.Context, by api.Actor, reason string) error {
	return ad.setOrder(ctx, by, nil, "numbers removed", reason)
}

func (ad *Admin) setOrder(ctx context.Context, by api.Actor, lists map[string]uint32, what, reason string) error {
	data, err := json.Marshal(lists)
	if err != nil {
		return err
	}
	if len(lists) == 0 {
		data = nil
	}
	err = ad.exec.Decide(ctx, "order", func(s *ledger.Ledger) error {
		a, err := ledger.Act(s, by, reason)
		if err != nil {
			return err
		}
		if maps.Equal(s.Order.Lists, lists) {
			return api.Errorf(api.Unchanged, "the lists have these numbers already: %d of them", len(lists))
		}
		s.Queue.Batch.SetMeta(ledger.MetaOrder, data)
		s.Event(record.Event{Kind: audit.KindOrderChanged, Text: joinReason(what, a.Reason), UID: a.UID, PID: a.PID})
		s.Order = ledger.NewOrder(lists, s.Multi)
		s.Basis++
		return nil
	})
	if err != nil {
		return err
	}
	ad.wantSync("the order of lists changed")
	return nil
}

func joinReason(what, reason string) string {
	if reason == "" {
		return what
	}
	return what + ": " + reason
}

// OrderPrefetch makes the kernel read the lists before the one it looks for, or not.
func (ad *Admin) OrderPrefetch(ctx context.Context, by api.Actor, on bool) error {
	return ad.exec.Decide(ctx, "prefetch", func(s *ledger.Ledger) error {
		a, err := ledger.Act(s, by, "")
		if err != nil {
			return err
		}
		if s.Prefetch == on {
			return api.Errorf(api.Unchanged, "prefetch is switched %s already", map[bool]string{true: "on", false: "off"}[on])
		}
		var value []byte
		what := "prefetch switched off"
		if on {
			value, what = []byte{1}, "prefetch switched on"
		}
		s.Queue.Batch.SetMeta(ledger.MetaPrefetch, value)
		s.Event(record.Event{Kind: audit.KindOrderChanged, Text: what, UID: a.UID, PID: a.PID})
		s.Prefetch = on
		s.Plan.Prefetch = &on
		return nil
	})
}

// Order returns a page of the lists that have a number, in order, as it was decided
// last: a list gets the number before its name soon after.
func (q *Query) Order(_ context.Context, offset, limit uint32) (page []api.Ordered, total uint32, state api.Order, err error) {
	snap, order := q.snapshot(), q.maker.Load().order
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
	total = uint32(len(all))
	lo := min(offset, total)
	return all[lo : lo+min(limit, total-lo)], total, api.Order{Prefetch: snap.Prefetch, Numbered: len(all)}, nil
}

// A list whose name changes is in the directory under both names until its files
// are bound to the new one: none is without a list for an instant.

// finishMoves binds files to the new names of lists, and takes the old ones away.
func (rc *Reconciler) finishMoves(ctx context.Context) error {
	snap := rc.snapshot()
	var moved []*view.Entry
	for _, e := range snap.Entries {
		if e.Change == record.Moving {
			moved = append(moved, e)
		}
	}
	if len(moved) == 0 {
		return nil
	}
	if rc.config.Labels {
		for _, e := range moved {
			if next := snap.List(e.Next); next != nil && next.Active() {
				rc.labels.bind(next, func(label string) bool { return label == e.Name })
			}
			failpoint.Hit("moved", "between-labels")
		}
	}
	return rc.exec.Enter(ctx, "moved", func(s *ledger.Ledger) error {
		for _, e := range moved {
			if s.ByName[e.Name] == e {
				s.Plan.Withdraw = append(s.Plan.Withdraw, state.Withdrawal{Name: e.Name})
				s.Forget(e.Name)
				s.Queue.Batch.DeleteList(e.Name)
			}
		}
		s.Sync()
		s.Record()
		return nil
	})
}
