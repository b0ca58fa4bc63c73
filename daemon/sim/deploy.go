// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"errors"
	"maps"
	"slices"
)

// booted is what the model knows of the installed system that the machine runs, which is one
// of two.
type booted struct {
	refuse  bool            // what is older in another system gets no list
	due     bool            // it was booted, and not compared
	before  map[string]bool // what the other one had, while a comparison is due
	waiting map[string]bool // what it had at its first comparison, and has no list yet
}

// The maps of a booted never change, so that models may share them.

func (b booted) same(o booted) bool {
	return b.refuse == o.refuse && b.due == o.due && maps.Equal(b.before, o.before) && maps.Equal(b.waiting, o.waiting)
}

// part reports whether a comparison takes p for a part of the system that was booted.
func (b booted) part(p Package) bool {
	if b.due {
		return !b.before[p.String()]
	}
	return b.waiting[p.String()]
}

// compared enters that a comparison has ended, and which parts of the system wait since.
func (b *booted) compared(waiting map[string]bool) { b.due, b.before, b.waiting = false, nil, waiting }

// retained reports whether a part of the system that was booted gets a list though it is older
// than what was active: a floor, a denial or its key speak against it in each system.
func (m *Model) retained(p Package) bool {
	return !m.booted.refuse && m.vouched(p) && !m.denied(p) && p.Version >= m.floorOf(p.Name)
}

// Boot enters that the machine has booted the other system.
func (m *Model) Boot() {
	m.booted.due, m.booted.before, m.booted.waiting = true, map[string]bool{}, nil
	for _, p := range m.Installed {
		m.booted.before[p.String()] = true
	}
}

// deploy makes the other system a copy of this one, or boots it.
func (r *runner) deploy(a Act) error {
	if a.What == "copy" {
		r.other = slices.Clone(r.truth)
		r.sys.Copy()
		return nil
	}
	if r.lost {
		return nil // nobody knows yet what this one has
	}
	if err := r.sys.Stop(); err != nil && !errors.Is(err, ErrCrashed) {
		return err
	}
	r.sys.Boot()
	r.rebooted()
	r.stale = true
	r.truth, r.other = r.other, r.truth
	for _, m := range r.models {
		m.Boot()
	}
	if err := r.start(); err != nil {
		return err
	}
	r.sys.Arm(a.Fault, r.loss)
	return r.compare()
}
