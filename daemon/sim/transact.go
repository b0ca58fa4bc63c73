// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/digestd/digestd/daemon/sim/story"
)

func (r *runner) install(p Package, kind Kind) error {
	amid, awaited := r.amid, r.awaited
	r.amid, r.awaited = Act{}, false
	gone := r.truth.Replaced(p)
	verdict, err := r.sys.Begin([]Package{p}, gone)
	if errors.Is(err, ErrCrashed) {
		return r.goOn(p, kind)
	}
	if err := r.begun(p, verdict); err != nil || verdict == Refused {
		return err
	}
	unhook := r.hook()
	verdict, err = r.sys.Unpack(p)
	if herr := unhook(); herr != nil {
		return herr
	}
	if errors.Is(err, ErrCrashed) {
		return r.goOn(p, kind)
	}
	if effect, _ := r.sys.Fired(); effect == "" {
		if err := r.unpacked(p, verdict, err); err != nil {
			return err
		}
	}
	if kind == HandOver && verdict != Refused {
		if err := r.sys.HandOver(); errors.Is(err, ErrCrashed) {
			return r.goOn(p, kind)
		} else if err != nil {
			return wrong("cannot take a transaction over: %v", err)
		}
		r.handed = true
		defer func() { r.handed = false }()
	}
	if amid.Kind != "" && !r.faulty && verdict != Refused {
		about, _ := story.Named(amid.What)
		if (amid.Kind == Grant || amid.Kind == TakeGrant) && verdict == Listed && about.List() == p.List() {
			amid.Kind = "" // the version is active until the transaction ends: it needs none, or uses it
		}
	}
	if amid.Kind != "" && !r.faulty && verdict != Refused {
		about, _ := story.Named(amid.What)
		if awaited {
			if err := r.sys.Wait(); err != nil {
				return wrong("cannot wait for a transaction: %v", err)
			}
			// The comparison that waits makes lists before any other, and nothing happens in it.
			within := r.within
			r.within = Act{}
			defer func() { r.within = within }()
		}
		if err := r.administer(amid.Kind, amid.What, about); err != nil {
			return fmt.Errorf("amid that, %s: %w", amid, err)
		}
	}
	switch {
	case verdict == Refused:
	case kind == Failing:
		if err = r.sys.Failed(p); err == nil {
			err = r.takenBack(p)
		}
	default:
		r.truth = r.truth.With(p)
		if err = r.sys.Put(p); err == nil {
			err = r.removed(p, gone)
		}
	}
	if errors.Is(err, ErrCrashed) {
		return r.restart()
	}
	effect, _ := r.sys.Fired()
	if err != nil && effect == "" {
		return err
	}
	if kind == Cut || kind == Lost || err != nil {
		if err := r.sys.Lose(); errors.Is(err, ErrCrashed) {
			return r.restart()
		}
		if kind == Lost && err == nil && effect == "" && !awaited {
			r.lost = true
			return nil
		}
		return r.compare()
	}
	came := []Package{p}
	if verdict == Refused || kind == Failing {
		came, gone = nil, nil
	}
	if err := r.end(came, gone); err != nil || kind != HandOver && !awaited {
		return err
	}
	return r.compare() // as digestd does of itself
}

// begun holds the answer to a transaction to the models.
func (r *runner) begun(p Package, verdict Verdict) error {
	for _, m := range r.models {
		m.expire(r.day)
	}
	if verdict == Refused {
		return r.expect(func(m *Model) bool { return m.Refused(p) }, "%s is refused, and nothing speaks against it", p)
	}
	// Who signed it, and so whether an advisory is about it, its header tells.
	return r.expect(func(m *Model) bool { return !m.deniedByName(p) && !m.rollback(p, false) }, "%s may come, which is denied or older than what was here", p)
}

// hook has happen what is to happen within the making of the next list. The returned function
// removes the hook and returns the error that occurred in it.
func (r *runner) hook() (unhook func() error) {
	within := r.within
	if within.Kind == "" || r.faulty {
		return func() error { return nil }
	}
	var err error
	r.sys.Within(func() {
		r.within = Act{}
		about, _ := story.Named(within.What)
		for _, m := range r.models {
			m.expire(r.day) // the act of which this is in the midst knows the time
		}
		err = r.administer(within.Kind, within.What, about)
	})
	return func() error {
		r.sys.Within(nil)
		if err != nil {
			return fmt.Errorf("within that, %s: %w", within, err)
		}
		return nil
	}
}

// both installs two packages by two transactions at once.
func (r *runner) both(what string) error {
	first, second, _ := strings.Cut(what, ",")
	p, known := story.Named(first)
	q, also := story.Named(second)
	if !known || !also || p.Name == q.Name {
		return nil
	}
	open, listed := [2]bool{}, [2]bool{}
	pair := [2]Package{p, q}
	gone := [2][]Package{r.truth.Replaced(p), r.truth.Replaced(q)}
	trouble := false
	turn := func(i int, fn func() error) error {
		if i == 1 {
			r.sys.Switch()
			defer r.sys.Switch()
		}
		return fn()
	}
	each := func(fn func(i int) error) error {
		for i := range pair {
			if err := turn(i, func() error { return fn(i) }); err != nil {
				return err
			}
		}
		return nil
	}
	hit := func() bool { effect, _ := r.sys.Fired(); return effect != "" }
	err := each(func(i int) error {
		verdict, err := r.sys.Begin([]Package{pair[i]}, gone[i])
		if err != nil {
			return err
		}
		open[i] = verdict != Refused
		return r.begun(pair[i], verdict)
	})
	if err == nil {
		err = each(func(i int) error {
			if !open[i] {
				return nil
			}
			verdict, err := r.sys.Unpack(pair[i])
			if err == nil && !hit() {
				err = r.unpacked(pair[i], verdict, nil)
			}
			listed[i] = verdict != Refused
			return err
		})
	}
	if err == nil {
		err = each(func(i int) error {
			if !open[i] || !listed[i] {
				return nil
			}
			r.truth = r.truth.With(pair[i])
			err := r.sys.Put(pair[i])
			if err == nil {
				err = r.removed(pair[i], gone[i])
			}
			return err
		})
	}
	order := [2]int{int(r.loss >> 40 & 1), int(^r.loss >> 40 & 1)}
	for _, i := range order {
		if err != nil || !open[i] {
			continue
		}
		err = turn(i, func() error {
			err := r.sys.End()
			if err != nil && !errors.Is(err, ErrCrashed) && hit() {
				trouble, err = true, nil
			}
			return err
		})
		if err == nil && listed[i] {
			for _, m := range r.models {
				m.Installed = append(m.Installed.Without(gone[i]...), pair[i])
				m.ended([]Package{pair[i]}, gone[i], r.unlisted)
			}
		}
	}
	switch {
	case errors.Is(err, ErrCrashed):
		return r.restart()
	case err != nil && !hit():
		return err
	case err != nil:
		if err := each(func(i int) error { return r.sys.Lose() }); errors.Is(err, ErrCrashed) {
			return r.restart()
		}
		return r.compare()
	case trouble || hit():
		r.sys.Arm(Fault{}, 0)
		return r.compare()
	}
	return r.allowed()
}

// takenBack sees that a package which failed to unpack has no list any more, unless it
// is installed already, or keep-old keeps the list that it had.
func (r *runner) takenBack(p Package) error {
	contents := r.sys.Directory()[p.List()]
	own := slices.ContainsFunc(contents, func(c int) bool { return c != story.Shared && slices.Contains(p.Contents, c) })
	if effect, _ := r.sys.Fired(); own && effect == "" && !r.truth.Has(p) && !slices.ContainsFunc(r.models, func(m *Model) bool { return m.kept.lists[p.List()] }) {
		return wrong("%s failed to unpack, and its list is there", p)
	}
	return nil
}

// goOn is what a package manager does when nobody answers any more.
func (r *runner) goOn(p Package, kind Kind) error {
	if kind != Failing {
		r.truth = r.truth.With(p)
	}
	return r.restart()
}

// unpacked holds the answer about a package to the models.
func (r *runner) unpacked(p Package, verdict Verdict, err error) error {
	if err != nil {
		return wrong("no answer about %s: %v", p, err)
	}
	switch verdict {
	case Refused:
		return r.expect(func(m *Model) bool { return !m.vouched(p) || m.Refused(p) }, "%s is refused, though somebody vouches for it", p)
	case Unlisted:
		r.unlisted[p.List()] = true
		return r.expect(func(m *Model) bool { return !m.Listed(p) }, "%s gets no list, and nothing speaks against one", p)
	}
	delete(r.unlisted, p.List())
	contents, there := r.sys.Directory()[p.List()]
	if !there {
		return wrong("%s is said to have a list, and has none", p)
	}
	// A list may lack what is no longer denied until the next comparison.
	return r.expect(func(m *Model) bool { return m.Listed(p) && len(contents) > 0 && subset(contents, m.left(p)) },
		"%s has a list of contents %v, which it must not have", p, contents)
}

// removed tells that packages are gone, whose lists must go before it is answered.
func (r *runner) removed(p Package, gone []Package) error {
	for _, g := range gone {
		before := r.sys.Directory()
		stays, certain := r.models[0].stays(g, p), true
		known := !r.handed && !r.lost // who takes a transaction over does not know what it brings
		for _, m := range r.models {
			certain = certain && m.stays(g, p) == stays
			if m.kept.on && g.Name == p.Name {
				m.kept.lists[g.List()] = true // whatever the end of the transaction is
			}
		}
		its, was := before[g.List()]
		_, came := before[p.List()]
		if err := r.sys.Gone(g); err != nil {
			if effect, _ := r.sys.Fired(); effect != "" && !errors.Is(err, ErrCrashed) {
				continue // the end will say so
			}
			return err
		}
		effect, _ := r.sys.Fired()
		contents, there := r.sys.Directory()[g.List()]
		// Of another build of that version nothing was said.
		if !certain {
			continue
		}
		if stays && known && was && came && g.Arch == p.Arch && subset(its, g.Contents) && !there && effect == "" {
			return wrong("%s is replaced, and its list does not stay", g)
		}
		if there && !stays && g.List() != p.List() && effect == "" && subset(contents, g.Contents) && len(contents) > 0 {
			return wrong("%s is gone, and its list is not", g)
		}
	}
	return nil
}

func (r *runner) erase(p Package) error {
	if !r.truth.Has(p) {
		return nil
	}
	_, err := r.sys.Begin(nil, []Package{p})
	for _, m := range r.models {
		m.expire(r.day)
	}
	if !errors.Is(err, ErrCrashed) {
		err = r.removed(Package{}, []Package{p})
	}
	r.truth = r.truth.Without(p)
	if errors.Is(err, ErrCrashed) {
		return r.restart()
	}
	if err != nil {
		return err
	}
	return r.end(nil, []Package{p})
}

// end ends a transaction that brought and took packages.
func (r *runner) end(came, gone []Package) error {
	err := r.sys.End()
	if errors.Is(err, ErrCrashed) {
		return r.restart()
	}
	if effect, _ := r.sys.Fired(); effect != "" || err != nil {
		if effect == "" {
			return wrong("cannot end a transaction: %v", err)
		}
		r.sys.Arm(Fault{}, 0)
		return r.compare() // as digestd does of itself
	}
	for _, m := range slices.Clone(r.models) {
		m.Installed = append(m.Installed.Without(gone...), came...)
		if r.handed && slices.ContainsFunc(came, m.advice.binds) {
			// Who takes a transaction over does not know whether its list or the advisory came first.
			c := m.clone()
			c.ended(nil, gone, r.unlisted)
			r.models = append(r.models, c)
		}
		m.ended(came, gone, r.unlisted)
	}
	return r.allowed()
}

// allowed sees that no list is there that was forbidden before.
func (r *runner) allowed() error {
	dir := r.sys.Directory()
	if list := r.models[0].Forbidden(dir); list != "" && !r.meddled && !r.stale && len(r.models) == 1 {
		return wrong("the list of %s is there, though what vouched for it does not any more", list)
	}
	return nil
}

// ended enters the end of a transaction. A package without a list was not active: the
// comparison after its reason has gone makes it so.
func (m *Model) ended(came, gone []Package, unlisted map[string]bool) {
	for _, g := range gone {
		l := m.lines[g.Name]
		_, stood := l.standing[g.Version]
		if stood && !slices.ContainsFunc(came, func(p Package) bool { return p.Name == g.Name && p.Version == g.Version }) {
			delete(l.standing, g.Version)
			l.retired = max(l.retired, g.Version)
			m.lines[g.Name] = l
			delete(m.advice.gone, g.List())
		}
	}
	for _, p := range came {
		// An advisory that came after the answer about p leaves its list alone.
		if m.listed(p, false) && !unlisted[p.List()] {
			m.activate(p)
		}
	}
}
