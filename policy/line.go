// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"

	"github.com/digestd/digestd/digestlist/nevra"
)

// Line is the memory of all versions of one package name on one architecture. Its methods return
// a changed copy. A zero EVR means none.
type Line struct {
	High    nevra.EVR // highest version that ever had an active list
	Retired nevra.EVR // highest version whose active list was withdrawn for good
	Floor   nevra.EVR // nothing below it may be active
	FloorBy string    // the origin that set it, "" for the owner; see [OriginFloor]
	Counter uint64    // of the latest activation; it never falls
	Multi   bool      // several versions are installed side by side

	Active []Instance
	Grants []nevra.EVR // versions that are permitted once each

	Denials []Denial // denials that may concern versions of it

	Advised   *Advised // the version that advisories require; nil: none
	Undecided bool     // an advisory may also apply, depending on the header of a version

	Doubted
}

// Advised is the version that advisories require, or the floor of a policy file that keeps
// active versions: active versions below it stay, and no other may come.
type Advised struct {
	EVR     nevra.EVR
	Text    string // the source and the reason
	FloorBy string // the origin whose floor it is; "" for advisories
}

// Doubted says whether a line may be incomplete, and what is certain nevertheless.
type Doubted struct {
	Doubt Doubt
	Shown nevra.EVR // highest installed version; asked only in doubt
}

// Instance is a version with an active list.
type Instance struct {
	EVR       nevra.EVR
	Granted   bool // active by a grant
	Retracted bool // its list was withdrawn because of an advisory
}

// Activate returns the line after e's list became active with the number next. It uses up a
// grant for e. A next that would lower the counter is ignored.
func (l Line) Activate(e nevra.EVR, next uint64) Line {
	granted := slices.Contains(l.Grants, e)
	for _, a := range l.Active {
		granted = granted || a.EVR == e && a.Granted
	}
	l.Active = append(without(l.Active, e), Instance{EVR: e, Granted: granted})
	l.High = higher(l.High, e)
	l.Counter = max(l.Counter, next)
	return l.RemoveGrant(e)
}

// Retire returns the line after e's list was withdrawn because the package was replaced or
// removed.
func (l Line) Retire(e nevra.EVR) Line {
	l.Active = without(l.Active, e)
	l.Retired = higher(l.Retired, e)
	return l
}

// AddGrant permits e once, regardless of the versions that were active before.
func (l Line) AddGrant(e nevra.EVR) Line {
	l = l.RemoveGrant(e)
	l.Grants = append(l.Grants, e)
	return l
}

// RemoveGrant removes an unused grant.
func (l Line) RemoveGrant(e nevra.EVR) Line {
	l.Grants = slices.DeleteFunc(slices.Clone(l.Grants), func(g nevra.EVR) bool { return g == e })
	return l
}

// SetFloor makes e the floor. The owner's latest act counts: grants for versions below e are
// void, used or not.
func (l Line) SetFloor(e nevra.EVR) Line {
	l.Floor, l.FloorBy = e, ""
	below := func(v nevra.EVR) bool { return nevra.Compare(v, e) < 0 }
	l.Grants = slices.DeleteFunc(slices.Clone(l.Grants), below)
	l.Active = slices.Clone(l.Active)
	for i, a := range l.Active {
		l.Active[i].Granted = a.Granted && !below(a.EVR)
	}
	return l
}

// ClearFloor removes the floor and keeps everything else.
func (l Line) ClearFloor() Line {
	l.Floor, l.FloorBy = nevra.EVR{}, ""
	return l
}

// Beside returns l as seen beside the lines of the same name on architectures that it replaces:
// noarch and, for a noarch package, all of them. So a package that changes its architecture
// keeps the memory of its versions.
func (l Line) Beside(others ...Line) Line {
	for _, o := range others {
		l.High, l.Retired = higher(l.High, o.High), higher(l.Retired, o.Retired)
		l = l.raiseFloor(o.Floor, o.FloorBy)
		l.Multi, l.Shown = l.Multi || o.Multi, higher(l.Shown, o.Shown)
	}
	return l
}

// Older reports whether e would be a rollback: older than the highest version that was active
// or, of several versions side by side, not newer than one that was removed.
func (l Line) Older(e nevra.EVR) bool {
	if l.Multi {
		return !l.Retired.IsZero() && nevra.Compare(e, l.Retired) <= 0
	}
	return !l.High.IsZero() && nevra.Compare(e, l.High) < 0
}

func (l Line) active(e nevra.EVR) (Instance, bool) {
	for _, a := range l.Active {
		if a.EVR == e {
			return a, true
		}
	}
	return Instance{}, false
}

func (l Line) belowAdvised(e nevra.EVR) bool {
	return l.Advised != nil && nevra.Compare(e, l.Advised.EVR) < 0
}

func (l Line) belowFloor(e nevra.EVR) bool {
	return !l.Floor.IsZero() && nevra.Compare(e, l.Floor) < 0
}

func without(active []Instance, e nevra.EVR) []Instance {
	return slices.DeleteFunc(slices.Clone(active), func(a Instance) bool { return a.EVR == e })
}

// higher returns the higher version. It prefers a if rpm sees no difference, so that the memory
// changes only when a version rises.
func higher(a, b nevra.EVR) nevra.EVR {
	if a.IsZero() || !b.IsZero() && nevra.Compare(b, a) > 0 {
		return b
	}
	return a
}
