// SPDX-License-Identifier: Apache-2.0

// Package retained says which packages are a part of an installed system that was booted, on a
// machine that has two of them.
package retained

import (
	"maps"

	"github.com/digestd/digestd/daemon/sim/story"
)

// Booted is what is known of the system that the machine runs. Its maps never change.
type Booted struct {
	Refuse  bool            // what is older in another system gets no list
	due     bool            // it was booted, and not compared
	before  map[string]bool // what the other one had, while a comparison is due
	waiting map[string]bool // what it had at its first comparison, and has no list yet
}

// Same reports whether b and o know the same.
func (b Booted) Same(o Booted) bool {
	return b.Refuse == o.Refuse && b.due == o.due && maps.Equal(b.before, o.before) && maps.Equal(b.waiting, o.waiting)
}

// Boot enters that the other system was booted; in is what this one has.
func (b *Booted) Boot(in story.Installed) {
	b.due, b.before, b.waiting = true, map[string]bool{}, nil
	for _, p := range in {
		b.before[p.String()] = true
	}
}

// Part reports whether a comparison takes p for a part of the system that was booted.
func (b Booted) Part(p story.Package) bool {
	if b.due {
		return !b.before[p.String()]
	}
	return b.waiting[p.String()]
}

// Compared enters that a comparison has ended, and which parts of the system have no list since.
func (b *Booted) Compared(waiting map[string]bool) { b.due, b.before, b.waiting = false, nil, waiting }
