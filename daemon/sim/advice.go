// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"errors"
	"maps"
	"slices"
	"strings"
)

// Repositories say by advisories which versions of packages lack a fix. Each has a key, and
// what it says is about packages that this key signed, and no others.
var Repositories = map[string]string{"updates": "A", "extras": "A", "strange": "B"}

// What becomes of lists that advisories are about.
const (
	AdviceGrace    = 2      // days until such a list is withdrawn, of a package that stays as it is
	AdviceProtects = "kern" // the name of packages whose lists are never withdrawn
	adviceLimit    = 1      // lists a day
)

// advice is what the model knows of advisories.
type advice struct {
	said  map[string]map[string]int // by repository and package: the version that has the fix
	noted map[string]notice         // of lists whose packages lack a fix
	gone  map[string]int            // lists that were withdrawn, and the day
}

// notice is when a list may go, and when it must.
type notice struct {
	since int // the first day on which it was seen to lack a fix
	sure  int // the day since which it has stood so; -1 if something may have begun the time anew
}

func newAdvice() advice {
	a := advice{said: map[string]map[string]int{}, noted: map[string]notice{}, gone: map[string]int{}}
	for name := range Repositories {
		a.said[name] = map[string]int{}
	}
	return a
}

func (a advice) clone() advice {
	c := advice{said: map[string]map[string]int{}, noted: maps.Clone(a.noted), gone: maps.Clone(a.gone)}
	for name, said := range a.said {
		c.said[name] = maps.Clone(said)
	}
	return c
}

func (a advice) same(b advice) bool {
	return maps.EqualFunc(a.said, b.said, maps.Equal) && maps.Equal(a.noted, b.noted) && maps.Equal(a.gone, b.gone)
}

// binds reports whether p lacks a fix, as a repository says that is heard of it.
func (a advice) binds(p Package) bool {
	key, _ := strings.CutSuffix(p.Key, Subkey)
	for name, said := range a.said {
		if Repositories[name] == key && p.Version < said[p.Name] {
			return true
		}
	}
	return false
}

// mentions reports whether p lacks a fix, as anybody says.
func (a advice) mentions(p Package) bool {
	for _, said := range a.said {
		if p.Version < said[p.Name] {
			return true
		}
	}
	return false
}

// retracted reports whether the list of p was withdrawn, and what speaks against it still does.
func (a advice) retracted(p Package) bool {
	_, gone := a.gone[p.List()]
	return gone && a.binds(p)
}

// hears enters what a repository says, which never takes back what it said before.
func (a advice) hears(repository string, r Range) {
	a.said[repository][r.Name] = max(a.said[repository][r.Name], r.Below)
}

// unsure enters that the time until lists go may have begun anew.
func (a advice) unsure() {
	for list, n := range a.noted {
		n.sure = -1
		a.noted[list] = n
	}
}

// due are the lists of m that may go today, and those of them that must have their turn.
func (m *Model) due(day int, dir map[string][]int) (may, must []string) {
	for _, p := range m.Installed {
		list := p.List()
		n, noted := m.advice.noted[list]
		if _, there := dir[list]; !there || !noted || p.Name == AdviceProtects || !m.advice.binds(p) || day < n.since+AdviceGrace {
			continue
		}
		may = append(may, list)
		if n.sure >= 0 && day >= n.sure+AdviceGrace {
			must = append(must, list)
		}
	}
	return may, must
}

// room is how many lists may still go today.
func (m *Model) room(day int) int {
	n := adviceLimit
	for _, at := range m.advice.gone {
		if day-at < 1 {
			n--
		}
	}
	return max(n, 0)
}

// looked enters a look at what advisories say: which packages lack a fix, and that lists went.
func (m *Model) looked(day int, dir map[string][]int, gone []string) {
	for _, list := range gone {
		m.advice.gone[list] = day
	}
	noted := map[string]notice{}
	for _, p := range m.Installed {
		list := p.List()
		if _, there := dir[list]; !there || slices.Contains(gone, list) || p.Name == AdviceProtects || !m.advice.binds(p) {
			continue
		}
		n, known := m.advice.noted[list]
		if !known {
			n = notice{since: day, sure: day}
		}
		if n.since = min(n.since, day); n.sure < 0 {
			n.sure = day
		}
		noted[list] = n
	}
	m.advice.noted = noted
}

// look has the System look at what advisories say, and withdraw what is due.
func (r *runner) look() error {
	before := r.sys.Directory()
	err := r.sys.Look()
	effect, _ := r.sys.Fired()
	if err != nil && effect == "" {
		return wrong("cannot look at advisories: %v", err)
	}
	if effect != "" {
		// A list may have gone, or none.
		for _, m := range slices.Clone(r.models) {
			may, _ := m.due(r.day, before)
			for _, list := range may[:min(len(may), len(may)*m.room(r.day))] {
				c := m.clone()
				c.advice.gone[list] = r.day
				r.models = append(r.models, c)
			}
			m.advice.unsure()
		}
		if errors.Is(err, ErrCrashed) {
			return r.restart()
		}
		r.sys.Arm(Fault{}, 0)
		return r.compare()
	}
	after := r.sys.Directory()
	var gone []string
	for _, list := range slices.Sorted(maps.Keys(before)) {
		if _, there := after[list]; !there {
			gone = append(gone, list)
		}
	}
	for _, list := range gone {
		err := r.expect(func(m *Model) bool { may, _ := m.due(r.day, before); return slices.Contains(may, list) },
			"the list of %s goes for an advisory, before its day or though it must stay", list)
		if err != nil {
			return err
		}
	}
	err = r.expect(func(m *Model) bool { return len(gone) <= m.room(r.day) }, "more lists go for advisories than may in a day: %v", gone)
	if err == nil && !r.lost && !r.meddled {
		err = r.expect(func(m *Model) bool {
			_, must := m.due(r.day, before)
			return len(must) == 0 || len(gone) > 0 || m.room(r.day) == 0
		},
			"the day has come on which a list goes for an advisory, and none goes")
	}
	for _, m := range r.models {
		m.looked(r.day, before, gone)
	}
	return err
}

// doubtful returns models for lists that were withdrawn for an advisory and of which something
// else was said since: for that they may return.
func doubtful(models []*Model) []*Model {
	for _, m := range slices.Clone(models) {
		for _, p := range m.Installed {
			if _, gone := m.advice.gone[p.List()]; !gone {
				continue
			}
			if granted := m.lines[p.Name].standing[p.Version]; m.vouched(p) && !m.denied(p) && (granted || p.Version >= m.floorOf(p.Name)) {
				continue
			}
			c := m.clone()
			delete(c.advice.gone, p.List())
			models = append(models, c)
		}
	}
	return models
}

// steady are the acts after which lists stand as they stood.
var steady = []Kind{Clock, Look, Advise, ForgetAdvice, Compare, Grant, TakeGrant, Own, OwnRemove, Prefetch}
