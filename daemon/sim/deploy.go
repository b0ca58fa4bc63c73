// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"errors"
	"slices"
)

// retained reports whether a part of the system that was booted gets a list though it is older
// than what was active: a floor, a denial or its key speak against it in each system.
func (m *Model) retained(p Package) bool {
	return !m.booted.Refuse && m.vouched(p) && !m.denied(p) && p.Version >= m.floorOf(p.Name)
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
		m.booted.Boot(m.Installed)
	}
	if err := r.start(); err != nil {
		return err
	}
	r.strange = r.disowned()
	r.sys.Arm(a.Fault, r.loss)
	return r.compare()
}
