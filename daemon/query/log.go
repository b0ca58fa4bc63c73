// SPDX-License-Identifier: Apache-2.0

package query

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
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

// LogVerify checks the hash chain of the log. head is "", or a former head of a chain as
// NUMBER:HASH, which the log must continue.
func (q *Query) LogVerify(ctx context.Context, head string) (api.LogCheck, error) {
	seq, hash, err := parseHead(head)
	if err != nil {
		return api.LogCheck{}, err
	}
	var chain record.Chain
	var checked *record.Checked
	found := record.Digest{}
	var cerr error
	err = q.Index.EachEntry(func(data []byte) {
		// An index without a chain begins it with its next entry.
		if chain, cerr = record.ReadChain(data, math.MaxUint64); cerr == nil {
			checked = chain.Check()
		}
	}, func(n uint64, value []byte) {
		if checked == nil || ctx.Err() != nil {
			return
		}
		if h := checked.Entry(chain, n, value); n == seq {
			found = h
		}
	})
	if err = cmp.Or(err, cerr, ctx.Err()); err != nil {
		return api.LogCheck{}, err
	}
	checked.End(chain)
	out := api.LogCheck{Entries: checked.Entries, Unchained: checked.Unchained, Heads: HeadsOf(chain), Faults: []string{}, More: checked.More}
	for _, f := range checked.Faults {
		out.Faults = append(out.Faults, api.Clean(f))
	}
	for _, l := range []record.Link{chain.Decisions, chain.Tampering} {
		if l.Dropped == seq && seq > 0 {
			found = l.DroppedHash
		}
	}
	switch {
	case head == "" || found == hash:
	case found.IsZero() && (seq < chain.Decisions.Dropped || seq < chain.Tampering.Dropped):
		out.Faults = append(out.Faults, fmt.Sprintf("entry %d is not kept any more: nobody can tell whether the log continues it", seq))
	default:
		out.Faults = append(out.Faults, fmt.Sprintf("the log does not continue the head %s", api.Clean(head)))
	}
	return out, nil
}

// parseHead reads NUMBER:HASH.
func parseHead(text string) (seq uint64, hash record.Digest, err error) {
	if text == "" {
		return 0, hash, nil
	}
	number, digits, ok := strings.Cut(text, ":")
	seq, err = strconv.ParseUint(number, 10, 64)
	if !ok || err != nil || seq == 0 || hash.UnmarshalText([]byte(digits)) != nil || hash.IsZero() {
		return 0, hash, api.Errorf(api.InvalidArgument, "%.100q is no head of the log: want NUMBER:HASH", text)
	}
	return seq, hash, nil
}

// HeadsOf describes the state of a chain.
func HeadsOf(c record.Chain) []api.LogHead {
	heads := []api.LogHead{}
	for _, r := range []struct {
		room string
		record.Link
	}{{"decisions", c.Decisions}, {"tampering", c.Tampering}} {
		if r.Seq > 0 {
			h := api.LogHead{Room: r.room, Seq: r.Seq, Hash: r.Hash.String(), Dropped: r.Dropped}
			if !r.DroppedHash.IsZero() {
				h.DroppedHash = r.DroppedHash.String()
			}
			heads = append(heads, h)
		}
	}
	return heads
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
