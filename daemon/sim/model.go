// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"maps"
	"slices"
	"strings"

	"github.com/digestd/digestd/daemon/sim/imaged"
	"github.com/digestd/digestd/daemon/sim/retained"
	"github.com/digestd/digestd/daemon/sim/story"
)

// Model knows what was answered, and says what must follow. If a crash lost an answer, several
// models stand for the possible histories.
type Model struct {
	Installed Installed
	keys      map[string]keyState
	lines     map[string]line // by name
	denials   map[string]Range
	contents  map[int]bool            // denied
	banned    map[int]bool            // by the kernel
	own       map[string]int          // contents of the owner's lists
	last      map[string]int          // what these had last, also those that were removed
	past      map[string]map[int]bool // what of these a newer version replaced, which does not come back
	unsigned  bool                    // packages that nobody signed may have lists
	timed     timing
	others
}

// others is what stands beside packages and the administrator's decisions.
type others struct {
	kept    keeping
	policed policed
	advice  advice
	booted  retained.Booted
	builder imaged.Builder
}

// policed is what a policy file says, also when it is gone.
type policed struct {
	floor, denial Range
	there         bool
}

// keeping is what the model knows of lists that are replaced.
type keeping struct {
	on    bool            // they stay until the machine starts anew
	lists map[string]bool // those that may be there for that
}

// timing is what the model knows of time.
type timing struct {
	day      int  // by the clock
	withdraw bool // what a key signed that has expired
}

type keyState struct {
	absent  bool // not in rpm's keyring
	revoked bool // by anybody; it stands until somebody lifts it
	itself  bool // its certificate says so, which nobody can lift while that is there
	expires int  // the day, 0 for never
}

// line is what is remembered of a package's name.
type line struct {
	high, retired int
	floor         int
	grants        map[int]bool
	standing      map[int]bool // versions that were active and are installed still; true: by a grant
}

// NewModel is a machine with nothing installed, and keys A and B trusted.
func NewModel() *Model {
	m := &Model{
		keys:  map[string]keyState{"A": {}, "B": {}, "C": {absent: true}, story.SubkeyOf("B"): {}},
		lines: map[string]line{}, denials: map[string]Range{}, contents: map[int]bool{}, banned: map[int]bool{}, own: map[string]int{}, last: map[string]int{}, past: map[string]map[int]bool{},
	}
	m.kept.lists, m.advice = map[string]bool{}, newAdvice()
	for _, name := range story.OwnNames {
		m.past[name] = map[int]bool{}
	}
	for _, p := range story.Packages() {
		m.lines[p.Name] = line{grants: map[int]bool{}, standing: map[int]bool{}}
	}
	return m
}

func (m *Model) clone() *Model {
	c := &Model{
		Installed: slices.Clone(m.Installed), keys: maps.Clone(m.keys), lines: maps.Clone(m.lines),
		denials: maps.Clone(m.denials), contents: maps.Clone(m.contents), banned: maps.Clone(m.banned), own: maps.Clone(m.own), last: maps.Clone(m.last), past: map[string]map[int]bool{}, unsigned: m.unsigned, timed: m.timed, others: others{keeping{m.kept.on, maps.Clone(m.kept.lists)}, m.policed, m.advice.clone(), m.booted, m.builder},
	}
	for name, past := range m.past {
		c.past[name] = maps.Clone(past)
	}
	for name, l := range c.lines {
		l.grants, l.standing = maps.Clone(l.grants), maps.Clone(l.standing)
		c.lines[name] = l
	}
	return c
}

// same reports whether m and o know the same.
func (m *Model) same(o *Model) bool {
	return m.unsigned == o.unsigned && m.timed == o.timed && m.policed == o.policed && m.kept.on == o.kept.on && m.booted.Same(o.booted) && m.builder == o.builder &&
		maps.Equal(m.kept.lists, o.kept.lists) && m.advice.same(o.advice) && maps.Equal(m.keys, o.keys) && maps.Equal(m.denials, o.denials) &&
		maps.Equal(m.contents, o.contents) && maps.Equal(m.banned, o.banned) && maps.Equal(m.own, o.own) && maps.Equal(m.last, o.last) &&
		maps.EqualFunc(m.past, o.past, maps.Equal) && maps.EqualFunc(m.lines, o.lines, line.same) &&
		slices.EqualFunc(m.Installed, o.Installed, func(p, q Package) bool { return p.String() == q.String() })
}

func (l line) same(o line) bool {
	return l.high == o.high && l.retired == o.retired && l.floor == o.floor && maps.Equal(l.grants, o.grants) && maps.Equal(l.standing, o.standing)
}

// publishOwn makes a list of the owner's of a content, unless all of it is denied or
// something newer took its place.
func (m *Model) publishOwn(name string, content int) {
	if len(m.allowed(OwnContents(content))) == 0 || m.past[name][content] {
		return
	}
	if before, was := m.last[name]; was && before != content {
		m.past[name][before] = true
	}
	m.own[name], m.last[name] = content, content
}

// vouched reports whether somebody who is trusted signed p.
func (m *Model) vouched(p Package) bool {
	if p.Key == "" {
		return m.unsigned
	}
	key, _ := strings.CutSuffix(p.Key, Subkey)
	k := m.keys[key]
	if m.timed.withdraw && k.expires > 0 && k.expires <= m.timed.day {
		return false
	}
	return !k.absent && !k.revoked && !m.keys[p.Key].revoked
}

// denied reports whether p may have no list, no matter who signed it.
func (m *Model) denied(p Package) bool {
	return m.deniedByName(p) || len(m.left(p)) == 0
}

func (m *Model) deniedByName(p Package) bool {
	for _, r := range m.denials {
		if r.Has(p) {
			return true
		}
	}
	return m.policed.denial.Has(p)
}

// floorOf is the version below which no package of a name may come, no matter who set it.
func (m *Model) floorOf(name string) int {
	if m.policed.floor.Name == name {
		return max(m.lines[name].floor, m.policed.floor.Below)
	}
	return m.lines[name].floor
}

// floored reports whether a floor keeps p out, which no grant has permitted since.
func (m *Model) floored(p Package) bool {
	l := m.lines[p.Name]
	return p.Version < m.floorOf(p.Name) && !l.standing[p.Version] && !l.grants[p.Version]
}

// stays reports whether the list of g stays until the machine starts anew when p replaces it. A
// list below a floor was there by a grant, which is used up.
func (m *Model) stays(g, p Package) bool {
	return m.kept.on && g.Name == p.Name && g.Version != p.Version && (g.Version >= m.floorOf(g.Name) || m.lines[g.Name].grants[g.Version])
}

// left is what p's list holds: its contents without those that are denied.
func (m *Model) left(p Package) []int { return m.allowed(p.Contents) }

func (m *Model) allowed(all []int) (contents []int) {
	for _, c := range all {
		if !m.contents[c] && !m.banned[c] {
			contents = append(contents, c)
		}
	}
	return Sorted(contents)
}

// expire ends the denials whose day has come; what keys sign ends by itself.
func (m *Model) expire(day int) {
	m.timed.day = day
	maps.DeleteFunc(m.denials, func(_ string, r Range) bool { return r.Until > 0 && r.Until <= day })
}

// Rollback reports whether p is an older version that may not come back.
func (m *Model) Rollback(p Package) bool { return m.rollback(p, m.advice.binds(p)) }

func (m *Model) rollback(p Package, advised bool) bool {
	l := m.lines[p.Name]
	granted, stands := l.standing[p.Version]
	switch {
	case stands && (granted || p.Version >= m.floorOf(p.Name)) && !(advised && m.advice.retracted(p)):
		return false
	case l.grants[p.Version]:
		return false
	case p.Version < m.floorOf(p.Name), advised:
		return true
	case p.Multi:
		return p.Version <= l.retired
	}
	return p.Version < l.high
}

// Refused reports whether a transaction that brings p is stopped as a whole.
func (m *Model) Refused(p Package) bool {
	return m.deniedByName(p) || m.Rollback(p)
}

// Listed reports whether p, once it is installed, must have a list.
func (m *Model) Listed(p Package) bool { return m.listed(p, m.advice.binds(p)) }

func (m *Model) listed(p Package, advised bool) bool {
	return m.vouched(p) && !m.denied(p) && !m.rollback(p, advised)
}

// Directory is what the list directory must hold when nothing is under way: the
// contents of each list.
func (m *Model) Directory() map[string][]int {
	lists := map[string][]int{}
	for _, p := range m.Installed {
		if m.Listed(p) {
			lists[p.List()] = m.left(p)
		}
	}
	for name, content := range m.own {
		if left := m.allowed(OwnContents(content)); len(left) > 0 {
			lists[OwnList(name)] = left
		}
	}
	return lists
}

// Compare enters that the System has compared its lists with what is installed.
func (m *Model) Compare() {
	for name, l := range m.lines {
		for v := range l.standing {
			if !slices.ContainsFunc(m.Installed, func(p Package) bool { return p.Name == name && p.Version == v }) {
				delete(l.standing, v)
				l.retired = max(l.retired, v)
			}
		}
		m.lines[name] = l
	}
	maps.DeleteFunc(m.advice.gone, func(list string, _ int) bool {
		return !slices.ContainsFunc(m.Installed, func(p Package) bool { return p.List() == list })
	})
	rising := slices.SortedFunc(slices.Values(m.Installed), func(a, b Package) int { return a.Version - b.Version })
	waiting := map[string]bool{}
	for _, p := range rising {
		part := m.booted.Part(p)
		if m.Listed(p) || part && m.retained(p) {
			m.activate(p)
		} else if part {
			waiting[p.String()] = true
		}
	}
	m.booted.Compared(waiting)
}

func (m *Model) activate(p Package) {
	l := m.lines[p.Name]
	delete(m.advice.gone, p.List())
	if _, stands := l.standing[p.Version]; !stands || l.grants[p.Version] {
		l.standing[p.Version] = l.grants[p.Version] || l.standing[p.Version]
		delete(l.grants, p.Version)
	}
	l.high = max(l.high, p.Version)
	m.lines[p.Name] = l
}

// known reports whether a package of that name ever had a list.
func (m *Model) known(name string) bool { return m.lines[name].high > 0 }

// SetFloor is the newest decision of the owner: grants below it, used or not, are void.
func (m *Model) SetFloor(name string, version int) {
	l := m.lines[name]
	l.floor = version
	for v := range l.grants {
		if v < version {
			delete(l.grants, v)
		}
	}
	for v, granted := range l.standing {
		if granted && v < version {
			delete(l.standing, v)
			l.retired = max(l.retired, v)
		}
	}
	m.lines[name] = l
}

// Grant permits a version once, if it needs that and nothing else speaks against it. It may
// need it if an advisory mentions it: before it comes nobody knows who signed it, nor its
// contents.
func (m *Model) Grant(p Package) {
	_, stands := m.lines[p.Name].standing[p.Version]
	_, gone := m.advice.gone[p.List()]
	if (m.Rollback(p) || (!stands || gone) && m.advice.mentions(p)) && !m.deniedByName(p) {
		m.lines[p.Name].grants[p.Version] = true
	}
}

// TakeGrant takes a grant back that was not used.
func (m *Model) TakeGrant(p Package) { delete(m.lines[p.Name].grants, p.Version) }

// Forbidden returns a list in dir that stands against what was answered: of a
// revoked key, of a denied package or with a denied content; "" if there is none.
func (m *Model) Forbidden(dir map[string][]int) string {
	for _, name := range story.OwnNames {
		contents, there := dir[OwnList(name)]
		content, known := m.own[name]
		if there && (!known || !subset(contents, m.allowed(OwnContents(content)))) {
			return OwnList(name)
		}
	}
	for _, list := range slices.Sorted(maps.Keys(dir)) {
		if known, may := m.mayHold(list, dir[list]); known && !may {
			return list
		}
	}
	return ""
}

// mayHold reports whether a list of these contents stands against nothing that was
// answered. One that is known is of a package.
func (m *Model) mayHold(list string, contents []int) (known, may bool) {
	for _, p := range story.Builds(list) {
		known = true
		may = may || m.vouched(p) && subset(contents, m.left(p)) && !m.denied(p) && !m.floored(p)
	}
	return known, may
}

func subset(a, b []int) bool {
	return !slices.ContainsFunc(a, func(n int) bool { return !slices.Contains(b, n) })
}

// Difference says how dir differs from what the model wants at rest, and for which
// list; "" if it does not.
func (m *Model) Difference(dir map[string][]int) (rule, list string) {
	want := m.Directory()
	for _, list := range slices.Sorted(maps.Keys(want)) {
		have, there := dir[list]
		if !there {
			return "the list of %s is not there", list
		}
		if !slices.Equal(have, want[list]) {
			return "the list of %s has other contents than it must have", list
		}
	}
	for _, list := range slices.Sorted(maps.Keys(dir)) {
		if _, wanted := want[list]; wanted {
			continue
		}
		if _, may := m.mayHold(list, dir[list]); !may || !m.kept.lists[list] {
			return "the list of %s must not be there", list
		}
	}
	return "", ""
}
