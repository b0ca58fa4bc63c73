// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store/record"
)

// OrderSet numbers lists in the order of their first use. uses are the paths of a
// measurement list, in its order; a list's number is its place among them, as
// digest-cache-tools gives it. If none is a list's, as on a kernel that reads no
// lists, the first use of any of its files counts.
func (ad *Admin) OrderSet(ctx context.Context, by api.Actor, uses [][]byte, reason string) (api.Order, error) {
	snap := ad.Snapshot()
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
			if e := snap.ListOfPath(ad.InsideRoot(string(use))); e != nil {
				note(digestlist.WithoutSequence(e.Name), i)
			}
		}
	}
	if len(lists) == 0 {
		return result, &api.Error{Code: api.NotFound, Message: "none of these measurements is of a list that is active here, nor of a file of one",
			Advice: "give the measurement list of this machine: /sys/kernel/security/ima/ascii_runtime_measurements"}
	}
	result.Numbered, result.Prefetch = len(lists), snap.Prefetch
	return result, ad.SetOrder(ctx, by, lists, fmt.Sprintf("%d lists numbered", len(lists)), reason)
}

// OrderClear takes the numbers away.
func (ad *Admin) OrderClear(ctx context.Context, by api.Actor, reason string) error {
	return ad.SetOrder(ctx, by, nil, "numbers removed", reason)
}

func (ad *Admin) SetOrder(ctx context.Context, by api.Actor, lists map[string]uint32, what, reason string) error {
	data, err := json.Marshal(lists)
	if err != nil {
		return err
	}
	if len(lists) == 0 {
		data = nil
	}
	err = ad.Exec.Decide(ctx, "order", func(s *ledger.Ledger) error {
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
	ad.WantSync("the order of lists changed")
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
	return ad.Exec.Decide(ctx, "prefetch", func(s *ledger.Ledger) error {
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
