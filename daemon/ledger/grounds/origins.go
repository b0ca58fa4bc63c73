// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"fmt"
	"slices"
	"time"

	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/ledger/advice"
	"github.com/digestd/digestd/daemon/ledger/state"
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

// Advise takes in the floors that advisories ask for. It raises floors, and lowers none.
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

// ClockSet moves the days of what became known since a time, by as much as the clock was set
// since: what became known by a wrong clock has its grace all the same.
func (s *Grounds) ClockSet(since time.Time, by time.Duration) {
	for _, e := range s.Sorted() {
		if e.Below.IsZero() || e.Below.Before(since) {
			continue
		}
		known := *e
		known.Below = e.Below.Add(by)
		if !e.Due.IsZero() {
			known.Due = e.Due.Add(by)
		}
		s.Save(&known)
	}
}

// MarkBelow notes since when it is known of each installed package that an advisory mends
// what it has, and forgets it of those that are mended. Unless grace is 0, the day on which
// the list of such a package goes is set, and announced, unless keep says why it must stay.
// It returns those that are below.
func (s *Grounds) MarkBelow(grace time.Duration, keep func(*view.Entry) string) (below []*view.Entry) {
	said := s.Table.View()
	for _, e := range s.Sorted() {
		f := said.Below(e)
		known := *e
		switch {
		case f == nil:
			known.Below, known.Due = time.Time{}, time.Time{}
		case e.Below.IsZero():
			known.Below = s.Now()
		case e.Below.After(s.Now()): // the clock was ahead
			known.Below, known.Due = s.Now(), time.Time{}
		}
		switch {
		case grace == 0 || !e.Active() || f != nil && keep(e) != "":
			known.Due = time.Time{}
		case f != nil && known.Due.IsZero():
			known.Due = s.Now().Add(grace)
			s.Event(record.Event{Kind: audit.KindAdvisoryDue, Package: e.Package.Full(), List: e.Name, Reason: string(policy.ReasonAdvisory),
				Text: "on " + known.Due.UTC().Format(time.DateOnly) + " unless it is updated: " + belowText(f, said)})
		}
		if f != nil {
			below = append(below, e)
		}
		if !known.Below.Equal(e.Below) || !known.Due.Equal(e.Due) {
			s.Save(&known)
		}
	}
	return below
}

func belowText(f *record.AdvisedFloor, a view.Advice) string {
	return advice.Text(f, a.Origins[f.Origin])
}

// Retraction says which lists go for advisories.
type Retraction struct {
	Most int                        // lists a day
	Keep func(e *view.Entry) string // why a list must stay, "" if it need not
}

// DueLists are the active lists whose day has come, the oldest first.
func (s *Grounds) DueLists() (due []*view.Entry) {
	for _, e := range s.Sorted() {
		if e.Active() && !e.Due.IsZero() && !s.Now().Before(e.Due) {
			due = append(due, e)
		}
	}
	slices.SortStableFunc(due, func(a, b *view.Entry) int { return a.Due.Compare(b.Due) })
	return due
}

// Retract takes the lists of packages out of the directory that have a flaw which an advisory
// mends, if their day has come. It does not touch protected packages, and leaves lists beyond a
// daily limit for other days. It returns how many went, and how many wait.
func (s *Grounds) Retract(r Retraction) (gone, waiting int) {
	a := s.Table.View()
	const day = 24 * time.Hour
	for _, e := range s.Sorted() {
		if !e.Active() && e.Reason == string(policy.ReasonAdvisory) && s.Now().Sub(e.Since) < day {
			r.Most--
		}
	}
	var out []state.Suspension
	for _, e := range s.DueLists() {
		f := a.Below(e)
		if f == nil || !a.Binds || r.Keep(e) != "" {
			continue
		}
		if len(out) >= r.Most {
			waiting++
			continue
		}
		text := fmt.Sprintf("%s is below %s: %s", e.Package, f.EVR, belowText(f, a))
		out = append(out, state.Suspension{Entry: e, Decision: policy.Decision{Verdict: policy.WithholdList, Reason: policy.ReasonAdvisory, Text: text}})
	}
	s.Suspend(out)
	return len(out), waiting
}

// ForgetOrigin takes back all that an origin said, and the origin.
func (s *Grounds) ForgetOrigin(name string, a record.Act) (floors int) {
	floors = s.DropOrigin(&s.Queue.Batch, name)
	s.Event(record.Event{Kind: audit.KindOriginForgotten, Reason: name, Text: a.Reason, UID: a.UID, PID: a.PID})
	return floors
}
