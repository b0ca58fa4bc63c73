// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"path"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
)

// OrderSet numbers lists in the order of their first use, and takes the numbers of all
// others away. uses are the paths of a measurement list, in its order; a list's number is
// its place among them, from 0 on, as digest-cache-tools gives it. If none is a list's, as
// on a kernel that reads no lists, the first use of any of its files counts. [api.NotFound]
// says that no use is of a list that is active here, [api.Unchanged] that the lists have
// these numbers.
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
		return result, &api.Error{Code: api.NotFound, Message: "none of these measurements is of an active list or of a file in one",
			Advice: "give the measurement list of this machine: /sys/kernel/security/ima/ascii_runtime_measurements"}
	}
	result.Numbered, result.Prefetch = len(lists), snap.Prefetch
	return result, ad.setOrder(ctx, by, lists, view.Plural(len(lists), "list")+" numbered", reason)
}

// OrderClear removes the numbers of all lists.
func (ad *Admin) OrderClear(ctx context.Context, by api.Actor, reason string) error {
	return ad.setOrder(ctx, by, nil, "numbers removed", reason)
}

// setOrder gives lists numbers, and has them published under these; what says so in the log.
func (ad *Admin) setOrder(ctx context.Context, by api.Actor, lists map[string]uint32, what, reason string) error {
	err := ad.Exec.Decide(ctx, "order", func(s *ledger.Ledger) error {
		a, err := ledger.Act(s, by, reason)
		if err != nil {
			return err
		}
		return s.SetOrder(lists, what, a)
	})
	if err == nil {
		ad.WantSync("the order of lists changed")
	}
	return err
}

// OrderPrefetch switches on or off whether the kernel reads lists in advance. The error is
// [api.Unchanged] if nothing changes.
func (ad *Admin) OrderPrefetch(ctx context.Context, by api.Actor, on bool) error {
	return ad.Exec.Decide(ctx, "prefetch", func(s *ledger.Ledger) error {
		a, err := ledger.Act(s, by, "")
		if err != nil {
			return err
		}
		return s.SetPrefetch(on, a)
	})
}
