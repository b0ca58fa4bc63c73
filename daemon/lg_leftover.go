// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"maps"
	"slices"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store/record"
)

// A list that must go and cannot be removed, because it is immutable or the disk
// refuses, keeps nothing else from being done: the state goes on as if it were gone,
// remembers in the index that its file must still go, and tries again. Until then
// the kernel accepts it, so one problem names it.

// leave remembers a list that could not be removed.
func (s *state) leave(name string, why error) {
	l, known := s.leftovers[name]
	if !known {
		l = record.Leftover{Name: name, Since: s.now()}
		s.log.Error("list not removed", "list", name, "error", why)
	}
	if text := why.Error(); !known || l.Why != text {
		l.Why = text
		s.setLeftover(l)
	}
	s.wake[wakeChores] = true
}

func (s *state) setLeftover(l record.Leftover) {
	was, known := s.leftovers[l.Name]
	s.undo.leftovers = append(s.undo.leftovers, oldLeftover{l.Name, was, known})
	s.leftovers[l.Name] = l
	s.queue.batch.PutLeftover(l)
}

// notLeft forgets that a list must still go: it is gone, or rightly there again.
func (s *state) notLeft(name string) {
	if was, known := s.leftovers[name]; known {
		s.undo.leftovers = append(s.undo.leftovers, oldLeftover{name, was, true})
		delete(s.leftovers, name)
		s.queue.batch.DeleteLeftover(name)
	}
}

// retryLeftovers tries to remove what must still go.
func (s *state) retryLeftovers() {
	for _, name := range slices.Sorted(maps.Keys(s.leftovers)) {
		if !slices.ContainsFunc(s.plan.withdraw, func(w withdrawal) bool { return w.name == name }) {
			s.plan.withdraw = append(s.plan.withdraw, withdrawal{name: name, entry: &view.Entry{List: record.List{Name: name}}})
		}
	}
}

// tellOfLeftovers names what must still go to the administrator.
func (s *state) tellOfLeftovers() {
	if len(s.leftovers) == 0 {
		s.solved("leftover")
		return
	}
	first := slices.Min(slices.Collect(maps.Keys(s.leftovers)))
	text := fmt.Sprintf("%s must leave the list directory and cannot be removed: %s: %s; the kernel still accepts what is in it",
		view.Plural(len(s.leftovers), "list"), first, s.leftovers[first].Why)
	s.problem("leftover", api.SeverityError, text, "make the file removable (lsattr shows whether it is immutable: chattr -i); digestd tries again by itself")
}
