// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"time"

	"github.com/digestd/digestd/digestlist/nevra"
)

// OriginFloor is a floor from a policy file instead of an administrator of this machine. Floors
// of advisories are [Advised].
type OriginFloor struct {
	Package  string // its name
	Arch     string // "" for every architecture
	EVR      nevra.EVR
	Keep     bool   // active versions below it stay, and no other may come
	Origin   string // who says so, such as "policy:base"
	Strength string // how well the origin is known, for people, such as "signed by KEY"
	Reason   string
	Since    time.Time
}

// OriginFloors are the floors in force, by package name. They are immutable.
type OriginFloors map[string][]OriginFloor

// NewOriginFloors groups floors by package name.
func NewOriginFloors(all ...[]OriginFloor) OriginFloors {
	floors := OriginFloors{}
	for _, some := range all {
		for _, f := range some {
			floors[f.Package] = append(floors[f.Package], f)
		}
	}
	return floors
}

// Raise returns l with the highest floors in force for a package and architecture. It never
// lowers a floor that an administrator set.
func (o OriginFloors) Raise(l Line, name, arch string) Line {
	for i := range o[name] {
		switch f := &o[name][i]; {
		case f.Arch != "" && f.Arch != arch:
		case !f.Keep:
			l = l.raiseFloor(f.EVR, f.Origin)
		case l.Advised == nil || nevra.Compare(f.EVR, l.Advised.EVR) > 0:
			l.Advised = &Advised{EVR: f.EVR, FloorBy: f.Origin}
		}
	}
	return l
}

func (l Line) raiseFloor(e nevra.EVR, by string) Line {
	if l.Floor.IsZero() || !e.IsZero() && nevra.Compare(e, l.Floor) > 0 {
		l.Floor, l.FloorBy = e, by
	}
	return l
}

// floorOver returns the floor of l and its origin if e is below that floor.
func (l Line) floorOver(e nevra.EVR) (floor nevra.EVR, by string, below bool) {
	if l.belowFloor(e) {
		return l.Floor, l.FloorBy, true
	}
	return floor, "", false
}
