// SPDX-License-Identifier: Apache-2.0

package query

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/store/record"
)

// rollbackKinds are the events about versions.
var rollbackKinds = []string{audit.KindRollbackRefused, audit.KindRollbackWithheld, audit.KindRollbackAllowed, audit.KindGranted, audit.KindGrantRevoked, audit.KindGrantUsed, audit.KindFloorSet, audit.KindFloorCleared, audit.KindIndexRecovered}

// RollbackLog returns a page of the decisions about versions, newest first.
func (q *Query) RollbackLog(ctx context.Context, offset, limit uint32) ([]api.Event, uint32, error) {
	return q.selectEvents(ctx, 0, 0, offset, limit, func(e *record.Event) bool { return slices.Contains(rollbackKinds, e.Kind) })
}

// Log returns a page of the decisions that filter selects, newest first.
func (q *Query) Log(ctx context.Context, filter api.LogFilter, offset, limit uint32) ([]api.Event, uint32, error) {
	for _, glob := range []string{filter.Kind, filter.Package, filter.List} {
		if _, err := path.Match(glob, ""); err != nil {
			return nil, 0, api.Errorf(api.InvalidArgument, "%q is not a valid pattern: %v", glob, err)
		}
	}
	filter.Key = strings.ToLower(filter.Key)
	return q.selectEvents(ctx, filter.After, filter.Before, offset, limit, func(e *record.Event) bool { return selects(&filter, e) })
}

// selectEvents returns a page of the entries between two numbers that match, and
// how many do in all.
func (q *Query) selectEvents(ctx context.Context, after, before uint64, offset, limit uint32, match func(*record.Event) bool) (page []api.Event, total uint32, err error) {
	page = []api.Event{}
	err = q.Index.EachEvent(before, func(e record.Event) bool {
		if e.Seq <= after || ctx.Err() != nil {
			return false
		}
		if match(&e) {
			if total >= offset && uint32(len(page)) < limit {
				page = append(page, describeEvent(&e))
			}
			total++
		}
		return true
	})
	if err == nil {
		err = ctx.Err()
	}
	return page, total, err
}

// selects reports whether f selects e, its number aside.
func selects(f *api.LogFilter, e *record.Event) bool {
	switch {
	case f.Kind != "" && !matches(f.Kind, e.Kind),
		f.List != "" && !matches(f.List, e.List),
		f.Key != "" && (e.Key == "" || !strings.HasSuffix(strings.ToLower(e.Key), f.Key)),
		!f.Since.IsZero() && e.When.Before(f.Since),
		!f.Until.IsZero() && !e.When.Before(f.Until),
		f.UID != nil && *f.UID != e.UID:
		return false
	}
	return f.Package == "" || matches(f.Package, namesOfPackage(e.Package)...)
}

func matches(glob string, names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		ok, _ := path.Match(glob, name)
		return ok && name != ""
	})
}

// namesOfPackage returns what an administrator may call what an event is about.
func namesOfPackage(text string) []string {
	if n, err := nevra.Parse(text); err == nil {
		return []string{text, n.String(), n.Name, n.Name + "." + n.Arch}
	}
	if i := strings.LastIndexByte(text, '.'); i > 0 {
		return []string{text, text[:i]} // name.arch
	}
	return []string{text}
}

func describeEvent(e *record.Event) api.Event {
	a := api.Event{Seq: e.Seq, When: e.When, Kind: e.Kind, Package: e.Package, List: e.List, Key: e.Key, Counter: e.Counter,
		Reason: e.Reason, Text: e.Text, Actor: api.Actor{UID: e.UID, PID: e.PID, Unit: e.Unit}}
	if !e.Digest.IsZero() {
		a.Digest = e.Digest.String()
	}
	if _, err := nevra.Parse(e.Package); err == nil {
		a.NEVRA = e.Package
	}
	return a
}
