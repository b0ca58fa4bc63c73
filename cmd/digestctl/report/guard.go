// SPDX-License-Identifier: Apache-2.0

package report

import (
	"time"

	"github.com/digestd/digestd/daemon/api"
)

// Guarded is what the guard in the kernel refused, or would have in mode enforce.
type Guarded struct {
	Denials []api.GuardDenial `json:"denials"` // the latest first, if the user may see them
	Hidden  bool              `json:"hidden"`  // the user may not see them
}

func (v view) FirstGuarded() []api.GuardDenial { return first(v.Guard.Denials) }
func (v view) RestGuarded() []api.GuardDenial  { return rest(v.Guard.Denials) }

// The timeline of refusals has a column an hour, for a week.
const (
	hours     = 7 * 24
	hourWidth = 4
)

// Refusals is a chart of what the guard refused.
type Refusals struct {
	From, To time.Time
	Hours    []Hour
	Highest  int // refusals of one hour, with those that mode audit allowed
	Width    int
	Height   int
}

// Hour is one column.
type Hour struct {
	Start            time.Time
	Refused, Allowed int
	X                int
	Bars             []Bar // from the ground up
}

// Refusals is the chart of the week before the report was made.
func (v view) Refusals() Refusals {
	t := Refusals{To: v.Made.UTC().Truncate(time.Hour), Width: hours * hourWidth, Height: barHeight}
	t.From = t.To.Add(-(hours - 1) * time.Hour)
	const most = 1 << 31 // what somebody sends must not overflow
	for _, h := range v.Status.Guard.Hours {
		i := int(h.Start.Sub(t.From) / time.Hour)
		if h.Start.Before(t.From) || i >= hours {
			continue
		}
		one := Hour{Start: h.Start, Refused: int(min(h.Refused, most)), Allowed: int(min(h.Allowed, most)), X: i * hourWidth}
		t.Highest = max(t.Highest, one.Refused+one.Allowed)
		t.Hours = append(t.Hours, one)
	}
	for i := range t.Hours {
		h := &t.Hours[i]
		h.Bars = stacked(t.Highest, shares{"other", h.Allowed}, shares{"refused", h.Refused})
	}
	return t
}
