// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"maps"
	"slices"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/store"
)

// A list that must go and cannot be removed, because it is immutable or the disk
// refuses, keeps nothing else from being done: the state goes on as if it were gone,
// remembers in the index that its file must still go, and tries again. Until then
// the kernel accepts it, so one problem names it.

// takeAway takes a list out of the directory, or remembers that it must still go.
func (s *state) takeAway(name string) { s.takeAwayAll([]string{name}, func() {}) }

// takeAwayAll does so with several lists, and calls out after each that is out. It
// returns their contents, nil for one that was not there or is there still.
func (s *state) takeAwayAll(names []string, out func()) (contents [][]byte) {
	contents, errs := s.dir.RemoveMany(names, out)
	for i, name := range names {
		if errs != nil && errs[i] != nil {
			s.leave(name, errs[i])
		} else {
			s.notLeft(name)
			s.lose(name, contents[i])
		}
	}
	s.tellOfLeftovers()
	return contents
}

// leave remembers a list that could not be removed.
func (s *state) leave(name string, why error) {
	l, known := s.leftovers[name]
	if !known {
		l = store.Leftover{Name: name, Since: s.now()}
		s.log.Error("list not removed", "list", name, "error", why)
	}
	if text := why.Error(); !known || l.Why != text {
		l.Why = text
		if s.leftovers == nil {
			s.leftovers = map[string]store.Leftover{}
		}
		s.leftovers[name] = l
		s.batch.PutLeftover(l)
	}
	s.chore()
}

// notLeft forgets that a list must still go: it is gone, or rightly there again.
func (s *state) notLeft(name string) {
	if _, known := s.leftovers[name]; known {
		delete(s.leftovers, name)
		s.batch.DeleteLeftover(name)
	}
}

// retryLeftovers tries to remove what must still go, and reports whether something
// is left. What is gone now has labels to be refreshed; see freed.
func (s *state) retryLeftovers() (left bool) {
	if len(s.leftovers) == 0 {
		return false
	}
	names := slices.Sorted(maps.Keys(s.leftovers))
	contents, errs := s.dir.RemoveMany(names, func() {})
	for i, name := range names {
		if errs != nil && errs[i] != nil {
			s.leave(name, errs[i])
			continue
		}
		s.log.Info("list removed at last", "list", name)
		s.notLeft(name)
		if contents[i] != nil {
			s.lose(name, contents[i])
			s.freed = append(s.freed, withdrawn{&entry{List: store.List{Name: name}}, contents[i]})
		}
	}
	s.tellOfLeftovers()
	return len(s.leftovers) > 0
}

// takeFreed returns the lists that left the directory later than they should have,
// for their labels.
func (s *state) takeFreed() (gone []withdrawn) {
	gone, s.freed = s.freed, nil
	return gone
}

// tellOfLeftovers names what must still go to the administrator.
func (s *state) tellOfLeftovers() {
	if len(s.leftovers) == 0 {
		s.solved("leftover")
		return
	}
	first := slices.Min(slices.Collect(maps.Keys(s.leftovers)))
	text := fmt.Sprintf("%s must leave the list directory and cannot be removed: %s: %s; the kernel still accepts what is in it",
		plural(len(s.leftovers), "list"), first, s.leftovers[first].Why)
	s.problem("leftover", api.SeverityError, text, "make the file removable (lsattr shows whether it is immutable: chattr -i); digestd tries again by itself")
}
