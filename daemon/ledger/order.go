// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"encoding/json"
	"fmt"
	"maps"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/store/record"
)

const (
	metaOrder    = "order"    // JSON: numbers by list name
	metaPrefetch = "prefetch" // set when the kernel is to prefetch
)

// NewOrder makes an order of numbers by list name, without number. The versions of a
// package have one number, but for packages whose names match a pattern of multi.
func NewOrder(lists map[string]uint32, multi []string) *view.Order {
	o := &view.Order{Lists: lists, Lines: map[view.LineID]uint32{}, Multi: multi}
	for name, seq := range lists {
		_, rest, err := FormatOf(name)
		if err != nil {
			continue
		}
		pkg, err := nevra.Parse(rest)
		if err != nil {
			continue
		}
		if old, ok := o.Lines[view.LineOf(pkg)]; !ok || seq < old {
			o.Lines[view.LineOf(pkg)] = seq
		}
	}
	return o
}

func (s *Ledger) loadOrder(meta map[string][]byte) error {
	s.Prefetch = meta[metaPrefetch] != nil
	lists := map[string]uint32{}
	if data := meta[metaOrder]; data != nil {
		if err := json.Unmarshal(data, &lists); err != nil {
			return fmt.Errorf("cannot read the order of lists: %w", err)
		}
	}
	s.Order = NewOrder(lists, s.Multi)
	return nil
}

// SetOrder gives lists these numbers and takes all others away; what says so in the log. An
// error says that they have them already.
func (s *Ledger) SetOrder(lists map[string]uint32, what string, a record.Act) error {
	if maps.Equal(s.Order.Lists, lists) {
		if len(lists) == 0 {
			return api.Errorf(api.Unchanged, "no list has a number")
		}
		return api.Errorf(api.Unchanged, "the lists have these numbers already: %d of them", len(lists))
	}
	var data []byte
	if len(lists) > 0 {
		var err error
		if data, err = json.Marshal(lists); err != nil {
			return err
		}
	}
	s.Queue.Batch.SetMeta(metaOrder, data)
	if a.Reason != "" {
		what += ": " + a.Reason
	}
	s.Event(record.Event{Kind: audit.KindOrderChanged, Text: what, UID: a.UID, PID: a.PID})
	s.Order = NewOrder(lists, s.Multi)
	s.Basis++
	return nil
}

// SetPrefetch switches on or off whether the kernel reads lists in advance. It returns an
// error if that changes nothing.
func (s *Ledger) SetPrefetch(on bool, a record.Act) error {
	word, value := "off", []byte(nil)
	if on {
		word, value = "on", []byte{1}
	}
	if s.Prefetch == on {
		return api.Errorf(api.Unchanged, "prefetch is switched %s already", word)
	}
	s.Queue.Batch.SetMeta(metaPrefetch, value)
	s.Event(record.Event{Kind: audit.KindOrderChanged, Text: "prefetch switched " + word, UID: a.UID, PID: a.PID})
	s.Prefetch = on
	s.Plan.Prefetch = &on
	return nil
}

// moveAway notes that the list of e is found under the name next from now on.
func (s *Ledger) moveAway(e *view.Entry, next string) {
	old := *e
	old.Change, old.Next = record.Moving, next
	s.Save(&old)
}

// rename has what is known of a list under another name. There is no list now, or none
// that may stay: what becomes of it is decided as if it had always had that name.
func (s *Ledger) rename(old *view.Entry, name string) {
	e := *old
	e.Name = name
	if old.Active() {
		s.Plan.Withdraw = append(s.Plan.Withdraw, state.Withdrawal{Name: old.Name, Entry: old})
		e.Broken = true
	}
	s.Forget(old.Name)
	s.Queue.Batch.DeleteList(old.Name)
	s.Save(&e)
}

// moveLists publishes the lists whose name is to be another, of packages that are installed as
// before. Nothing more follows from it.
func (s *Ledger) moveLists(found []state.InstalledPackage, r *Reconciled) {
	for i := range found {
		c := found[i].Fresh
		if c == nil {
			continue
		}
		old := s.ByHeader[c.Header]
		if old == nil || old.Grace != "" || old.Name == c.Name || s.ByName[c.Name] != nil ||
			digestlist.WithoutSequence(old.Name) != digestlist.WithoutSequence(c.Name) {
			continue
		}
		if c.Staged == (record.Staged{}) || !old.Active() || old.Broken || !s.Trusted(old) || !s.Allowed(old) {
			s.rename(old, c.Name)
			continue
		}
		found[i].Fresh = nil
		s.Plan.Publish = append(s.Plan.Publish, state.Publication{Name: c.Name, Staged: c.Staged, Largest: c.Largest, Then: state.Do(func(p state.Published) error {
			if p.Err != nil {
				// It stays what it is, under its old name.
				r.fail(&found[i], p.Err)
				return nil
			}
			s.moveAway(old, c.Name)
			e := *old
			e.Wide, e.Largest = c.Wide, c.Largest
			e.Name, e.Body, e.File, e.Signer, e.Files, e.Refs = c.Name, c.Body, c.File, c.Signer, c.Files, c.Refs
			e.Change, e.Stamp = "", p.Stamp
			s.Save(&e)
			r.moved = append(r.moved, c.Name)
			return nil
		})})
	}
}
