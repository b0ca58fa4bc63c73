// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"time"

	"github.com/digestd/digestd/digestlist/nevra"
)

// OriginFloor is a floor that came from elsewhere than an administrator of this machine, from a
// policy file. Floors of advisories are [Advised].
type OriginFloor struct {
	Package  string // its name
	Arch     string // "" for every architecture
	EVR      nevra.EVR
	Keep     bool   // what is active below it stays, and only what comes is kept out
	Origin   string // who says so, such as "policy:base"
	Strength string // how well the origin is known, for people, such as "signed by KEY"
	Reason   string
	Since    time.Time
}

// OriginFloors are all of them that hold, by the name of the package. They never change.
type OriginFloors map[string][]OriginFloor

// NewOriginFloors sorts floors by the names of their packages.
func NewOriginFloors(all ...[]OriginFloor) OriginFloors {
	floors := OriginFloors{}
	for _, some := range all {
		for _, f := range some {
			floors[f.Package] = append(floors[f.Package], f)
		}
	}
	return floors
}

// Raise returns l with the highest floors that hold for a package on an architecture. They
// never lower what an administrator set.
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

// floorOver returns the floor that e is below, whose it is, and whether it is below one.
func (l Line) floorOver(e nevra.EVR) (floor nevra.EVR, by string, below bool) {
	if l.belowFloor(e) {
		return l.Floor, l.FloorBy, true
	}
	return floor, "", false
}
