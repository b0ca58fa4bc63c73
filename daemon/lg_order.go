// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"encoding/json"
	"fmt"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/store/record"
)

const (
	metaOrder    = "order"    // JSON: numbers by list name
	metaPrefetch = "prefetch" // set when the kernel is to prefetch
)

func newOrder(lists map[string]uint32, multi []string) *view.Order {
	o := &view.Order{Lists: lists, Lines: map[view.LineID]uint32{}, Multi: multi}
	for name, seq := range lists {
		_, rest, err := formatOf(name)
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

func (s *state) loadOrder(meta map[string][]byte) error {
	s.prefetch = meta[metaPrefetch] != nil
	lists := map[string]uint32{}
	if data := meta[metaOrder]; data != nil {
		if err := json.Unmarshal(data, &lists); err != nil {
			return fmt.Errorf("cannot read the order of lists: %w", err)
		}
	}
	s.order = newOrder(lists, s.multi)
	return nil
}

// prefetchKept notes whether the attribute of the directory could be put back where it
// was gone.
func (s *state) prefetchKept(err error) {
	if !s.prefetch {
		return
	}
	if err != nil {
		s.problem("prefetch", api.SeverityWarning, err.Error(), "put the list directory on a file system with extended attributes, or: digestctl order prefetch off")
		return
	}
	s.solved("prefetch")
}

// moveAway notes that the list of e is found under the name next from now on.
func (s *state) moveAway(e *view.Entry, next string) {
	old := *e
	old.Change, old.Next = record.Moving, next
	s.save(&old)
}

// moveLists publishes the lists whose name is to be another, of packages that are
// installed as before. What it did needs no more thought.
func (s *state) moveLists(found []installedPackage, r *reconciled) {
	for i := range found {
		c := found[i].fresh
		if c == nil || c.Staged == (record.Staged{}) {
			continue
		}
		old := s.byHeader[c.Header]
		if old == nil || !old.Active() || old.Broken || old.Grace != "" || old.Name == c.Name || s.byName[c.Name] != nil ||
			digestlist.WithoutSequence(old.Name) != digestlist.WithoutSequence(c.Name) || !s.trusted(old) || !s.allowed(old) {
			continue
		}
		found[i].fresh = nil
		s.plan.publish = append(s.plan.publish, publication{name: c.Name, staged: c.Staged, then: func(p published) error {
			if p.err != nil {
				// It stays what it is, under its old name.
				r.fail(&found[i], p.err)
				return nil
			}
			s.moveAway(old, c.Name)
			e := *old
			e.Wide = c.Wide
			e.Name, e.Body, e.File, e.Signer, e.Files, e.Refs = c.Name, c.Body, c.File, c.Signer, c.Files, c.Refs
			e.Change, e.Stamp = "", p.stamp
			s.save(&e)
			r.moved = append(r.moved, c.Name)
			return nil
		}})
	}
}
