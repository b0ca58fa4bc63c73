// SPDX-License-Identifier: Apache-2.0

package state

import (
	"cmp"
	"errors"
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

// Leave remembers a list that could not be removed.
func (s *State) Leave(name string, why error) {
	l, known := s.Leftovers[name]
	if !known {
		l = record.Leftover{Name: name, Since: s.Now()}
		s.Log.Error("list not removed", "list", name, "error", why)
	}
	if text := why.Error(); !known || l.Why != text {
		l.Why = text
		s.setLeftover(l)
	}
	s.Wake[WakeChores] = true
}

func (s *State) setLeftover(l record.Leftover) {
	was, known := s.Leftovers[l.Name]
	s.Undo.leftovers = append(s.Undo.leftovers, oldLeftover{l.Name, was, known})
	s.Leftovers[l.Name] = l
	s.Queue.Batch.PutLeftover(l)
}

// NotLeft forgets that a list must still go: it is gone, or rightly there again.
func (s *State) NotLeft(name string) {
	if was, known := s.Leftovers[name]; known {
		s.Undo.leftovers = append(s.Undo.leftovers, oldLeftover{name, was, true})
		delete(s.Leftovers, name)
		s.Queue.Batch.DeleteLeftover(name)
	}
}

// RetryLeftovers tries to remove what must still go.
func (s *State) RetryLeftovers() {
	for _, name := range slices.Sorted(maps.Keys(s.Leftovers)) {
		if !slices.ContainsFunc(s.Plan.Withdraw, func(w Withdrawal) bool { return w.Name == name }) {
			s.Plan.Withdraw = append(s.Plan.Withdraw, Withdrawal{Name: name, Entry: &view.Entry{List: record.List{Name: name}}})
		}
	}
}

// TellOfLeftovers names what must still go to the administrator.
func (s *State) TellOfLeftovers() {
	if len(s.Leftovers) == 0 {
		s.Solved("leftover")
		return
	}
	first := slices.Min(slices.Collect(maps.Keys(s.Leftovers)))
	text := fmt.Sprintf("%s must be withdrawn and cannot be removed: %s: %s; the kernel still accepts the files in it",
		view.Plural(len(s.Leftovers), "list"), first, s.Leftovers[first].Why)
	advice := cmp.Or(api.DiskAdvice(errors.New(s.Leftovers[first].Why)), "make the file removable (if lsattr shows that it is immutable: chattr -i)")
	s.Problem("leftover", api.SeverityError, text, advice+"; digestd retries automatically")
}
