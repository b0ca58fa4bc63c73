// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"slices"
	"time"

	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// Heard is what became of the word of an origin.
type Heard struct {
	Raised int
	// Epochs are the packages of which the word asks for an epoch that nothing here has:
	// name.arch. That is never acted on, for no later version could then bring the package
	// back in order.
	Epochs []string
}

// Advise takes in floors by the word of advisories. It raises floors, and lowers none.
func (s *Grounds) Advise(o record.Origin, floors []record.AdvisedFloor) (h Heard) {
	byName := map[string][]record.AdvisedFloor{}
	for _, f := range floors {
		byName[f.Name] = append(byName[f.Name], f)
	}
	for name, said := range byName {
		var now []record.AdvisedFloor
		for _, f := range s.Advised[name] {
			if f.Origin == o.Name {
				now = append(now, f)
			}
		}
		changed := false
		for _, f := range said {
			f.Origin, f.Since = o.Name, s.Now()
			i := slices.IndexFunc(now, func(g record.AdvisedFloor) bool { return g.Arch == f.Arch && g.Stream == f.Stream })
			switch {
			case i >= 0 && nevra.Compare(f.EVR, now[i].EVR) <= 0:
				continue
			case s.newEpoch(&f, now):
				h.Epochs = append(h.Epochs, view.LineID{Name: name, Arch: f.Arch}.String())
				continue
			case i >= 0:
				now[i] = f
			default:
				now = append(now, f)
			}
			h.Raised++
			changed = true
		}
		if changed {
			s.SetAdvised(&s.Queue.Batch, o.Name, name, now)
		}
	}
	slices.Sort(h.Epochs)
	return h
}

// newEpoch reports whether a floor is of an epoch above all that is known here of the
// package. Of a package of which nothing is known any epoch may be the right one.
func (s *Grounds) newEpoch(f *record.AdvisedFloor, said []record.AdvisedFloor) bool {
	known, highest := false, uint32(0)
	take := func(e nevra.EVR) {
		if !e.IsZero() {
			known, highest = true, max(highest, e.Epoch)
		}
	}
	for arch := range s.Archs {
		if f.Arch != "" && !policy.SameFamily(arch, f.Arch) {
			continue
		}
		id := view.LineID{Name: f.Name, Arch: arch}
		take(s.Lines[id].High)
		for _, e := range s.ByLine[id] {
			take(e.Package.EVR)
		}
	}
	if !known {
		for _, g := range said {
			take(g.EVR)
		}
	}
	return known && f.EVR.Epoch > highest
}

// MarkBelow notes since when it is known of each installed package that an advisory mends
// what it has, and forgets it of those that are mended. It returns how many there are.
func (s *Grounds) MarkBelow() (n int) {
	advice := s.Table.View()
	for _, e := range s.Sorted() {
		f := advice.Below(e)
		if f != nil {
			n++
		}
		if (f != nil) == !e.Below.IsZero() {
			continue
		}
		known := *e
		known.Below = time.Time{}
		if f != nil {
			known.Below = s.Now()
		}
		s.Save(&known)
	}
	return n
}

// ForgetOrigin takes back all that an origin said, and the origin.
func (s *Grounds) ForgetOrigin(name string, a record.Act) (floors int) {
	floors = s.DropOrigin(&s.Queue.Batch, name)
	s.Event(record.Event{Kind: audit.KindOriginForgotten, Reason: name, Text: a.Reason, UID: a.UID, PID: a.PID})
	return floors
}
