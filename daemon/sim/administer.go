// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/digestd/digestd/daemon/sim/story"
)

// keyring changes what is in rpm's keyring, and what certificates say.
func (r *runner) keyring(kind Kind, what string) error {
	key, day, _ := strings.Cut(what, ":")
	expires, _ := strconv.Atoi(day)
	change := func(all []Certificate) (changed []Certificate) {
		for _, c := range all {
			switch {
			case c.Key != key:
			case kind == Renew:
				c.Expires = expires
			case kind == Retract || kind == Outdate:
				c.Retracted = kind == Retract
			}
			changed = append(changed, c)
		}
		return changed
	}
	move := func(from, to *[]Certificate) {
		if i := slices.IndexFunc(*from, func(c Certificate) bool { return c.Key == key }); i >= 0 {
			c := (*from)[i]
			*from, *to = slices.Delete(slices.Clone(*from), i, i+1), append(slices.Clone(*to), c)
		}
	}
	switch r.present, r.absent = change(r.present), change(r.absent); kind {
	case Drop:
		move(&r.present, &r.absent)
	case Import:
		move(&r.absent, &r.present)
	}
	present := r.present
	return r.act(func() error { return r.sys.Keys(present) }, func(m *Model) {
		k := m.keys[key]
		switch kind {
		case Drop:
			k.revoked = k.revoked || !k.absent // until somebody lifts it, also if the key comes back
			k.absent = true
		case Import:
			k.absent = false
		case Renew:
			k.expires = expires
		}
		m.keys[key] = k
		for _, c := range present {
			if sub, is := m.keys[story.SubkeyOf(c.Key)]; is {
				sub.revoked, sub.itself = sub.revoked || c.Retracted, c.Retracted
				m.keys[story.SubkeyOf(c.Key)] = sub
			}
		}
	}, true)
}

func (r *runner) administer(kind Kind, what string, p Package) error {
	text, until, _ := strings.Cut(what, ":")
	name, below, _ := strings.Cut(text, "<")
	version, _ := strconv.Atoi(below)
	rng := Range{Name: name, Below: version}
	rng.Until, _ = strconv.Atoi(until)
	content, _ := strconv.Atoi(what)
	revoke := func(revoked bool) func(*Model) {
		return func(m *Model) {
			owner, _ := strings.CutSuffix(what, Subkey)
			if k := m.keys[what]; revoked || !k.itself || m.keys[owner].absent {
				k.revoked = revoked
				m.keys[what] = k
			}
		}
	}
	switch kind {
	case Revoke:
		return r.act(func() error { return r.sys.Revoke(what) }, revoke(true), false)
	case Restore:
		return r.act(func() error { return r.sys.Restore(what) }, revoke(false), false)
	case Drop, Import, Renew, Retract, Outdate:
		return r.keyring(kind, what)
	case DenyUntil:
		if rng.Until <= r.day {
			return nil // that day is over
		}
		fallthrough
	case Deny:
		return r.act(func() error { return r.sys.Deny(rng) }, func(m *Model) { m.denials[text] = rng }, false)
	case Own:
		name, of, _ := strings.Cut(what, "=")
		content, _ := strconv.Atoi(of)
		return r.act(func() error { return r.sys.Own(name, content) }, func(m *Model) { m.publishOwn(name, content) }, false)
	case OwnRemove:
		return r.act(func() error { return r.sys.OwnRemove(what) }, func(m *Model) { delete(m.own, what) }, false)
	case Ban:
		return r.act(func() error { return r.sys.Ban(content) }, func(m *Model) { m.banned[content] = true }, true)
	case Order:
		if _, there := r.sys.Directory()[p.List()]; !there {
			return nil
		}
		if err := r.act(func() error { return r.sys.Order(p) }, func(*Model) {}, false); err != nil {
			return err
		}
		return r.compare()
	case Prefetch:
		return r.act(func() error { return r.sys.Prefetch(what == "on") }, func(*Model) {}, false)
	case Lift:
		return r.act(func() error { return r.sys.Lift(rng) }, func(m *Model) { delete(m.denials, what) }, false)
	case DenyContent:
		return r.act(func() error { return r.sys.DenyContent(content) }, func(m *Model) { m.contents[content] = true }, false)
	case LiftContent:
		return r.act(func() error { return r.sys.LiftContent(content) }, func(m *Model) { delete(m.contents, content) }, false)
	case Floor:
		slip := false // of the pen: nothing of that name was ever here
		return r.act(func() error {
			err := r.sys.SetFloor(rng)
			effect, _ := r.sys.Fired()
			if slip = err != nil && !errors.Is(err, ErrCrashed) && effect == "" && !r.models[0].known(name); slip {
				return nil
			}
			return err
		}, func(m *Model) {
			// A grant, too, makes a name known: what was answered with success holds.
			if !slip {
				m.SetFloor(name, version)
			}
		}, false)
	case ClearFloor:
		return r.act(func() error { return r.sys.ClearFloor(name) }, func(m *Model) { m.SetFloor(name, 0) }, false)
	case Grant:
		return r.act(func() error { return r.sys.Grant(p) }, func(m *Model) { m.Grant(p) }, false)
	case TakeGrant:
		return r.act(func() error { return r.sys.TakeGrant(p) }, func(m *Model) { m.TakeGrant(p) }, false)
	case Unsigned:
		return r.act(func() error { return r.sys.Unsigned(what == "allow") }, func(m *Model) { m.unsigned = what == "allow" }, true)
	case KeepOld:
		return r.act(func() error { return r.sys.KeepOld(what == "on") }, func(m *Model) { m.kept.on = what == "on" }, true)
	case Retained:
		return r.act(func() error { return r.sys.Retained(what == "refuse") }, func(m *Model) { m.booted.Refuse = what == "refuse" }, true)
	case Police:
		floor, denial, _ := strings.Cut(what, "+")
		said := policed{floor: rangeOf(floor), denial: rangeOf(denial), there: true}
		return r.act(func() error { return r.sys.Police(said.floor, said.denial) }, func(m *Model) { m.policed = said }, true)
	case PoliceGone:
		return r.act(r.sys.PoliceGone, func(m *Model) { m.policed.there = false }, true)
	case PoliceForget:
		return r.act(r.sys.PoliceForget, func(m *Model) {
			if !m.policed.there {
				m.policed = policed{}
			}
		}, false)
	case Advise:
		repository, text, _ := strings.Cut(what, ":")
		said := rangeOf(text)
		return r.act(func() error { return r.sys.Advise(repository, said) }, func(m *Model) { m.advice.hears(repository, said) }, true)
	case ForgetAdvice:
		if err := r.act(func() error { return r.sys.ForgetAdvice(what) }, func(m *Model) { clear(m.advice.said[what]) }, false); err != nil {
			return err
		}
		return r.compare()
	case Rotate:
		// All lists are made again, from what is installed.
		if err := r.act(r.sys.Rotate, func(*Model) {}, true); err != nil {
			return err
		}
		return r.compare()
	}
	return fmt.Errorf("%q is no kind of act", kind)
}

// rangeOf reads NAME<VERSION.
func rangeOf(text string) (r Range) {
	name, below, _ := strings.Cut(text, "<")
	r.Name = name
	r.Below, _ = strconv.Atoi(below)
	return r
}

// act does one thing that somebody asked for. insists: it is a fact, which is
// told again until it is taken.
func (r *runner) act(call func() error, apply func(*Model), insists bool) error {
	err := call()
	effect, before := r.sys.Fired()
	done := func() (models []*Model) {
		for _, m := range r.models {
			c := m.clone()
			apply(c)
			models = append(models, c)
		}
		return models
	}
	switch {
	case errors.Is(err, ErrCrashed):
		if insists {
			r.models = done()
		} else {
			r.models = append(r.models, done()...)
		}
		if err := r.start(); err != nil {
			return err
		}
		if insists {
			if err := call(); err != nil {
				return wrong("told again: %v", err)
			}
		}
		return r.compare()
	case err != nil && effect != "" && insists:
		r.sys.Arm(Fault{}, 0)
		models := done()
		if err := call(); err != nil {
			return wrong("told again: %v", err)
		}
		r.models = models
		return r.compare()
	case err != nil && effect == "":
		// Refused: it would change nothing, or makes no sense.
		return r.expect(func(m *Model) bool { c := m.clone(); apply(c); return len(distinct([]*Model{m, c})) == 1 },
			"refused, though it would change something: %v", err)
	case err != nil && (effect == "commit" || effect == Keeping) && before == 0:
		return r.compare() // it has not happened
	case err != nil:
		r.models = append(r.models, done()...)
		return r.compare()
	}
	for _, m := range r.models {
		apply(m)
	}
	if effect != "" {
		return r.compare() // what could not be done at once is tried again
	}
	if list := r.models[0].Forbidden(r.sys.Directory()); list != "" && !r.meddled && !r.stale {
		return wrong("the list of %s is there, though what vouched for it does not any more", list)
	}
	return nil
}

func (r *runner) meddle(kind Kind, p Package) error {
	_, there := r.sys.Directory()[p.List()]
	if there == (kind == Plant) {
		return nil
	}
	r.meddled, r.ever = true, true
	var err error
	switch kind {
	case Delete:
		err = r.sys.Delete(p)
	case Alter:
		err = r.sys.Alter(p)
	case Plant:
		err = r.sys.Plant(p)
	}
	if errors.Is(err, ErrCrashed) {
		return r.restart()
	}
	return err
}
