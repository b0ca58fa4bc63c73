// SPDX-License-Identifier: Apache-2.0

package report

import (
	"slices"
	"strings"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
)

// The timeline has a column a day.
const (
	days      = 30
	dayWidth  = 20
	barHeight = 84
)

// Timeline is a chart of the latest decisions.
type Timeline struct {
	From, To time.Time
	Days     []Day
	Highest  int // decisions of one day
	Width    int
	Height   int
}

// Day is one column: what was refused or tampered with, what an administrator decided, and what
// else is on record.
type Day struct {
	Date                   time.Time
	Refused, Ruled, Others int
	X                      int
	Bars                   []Bar // from the ground up
}

// Bar is a part of a column.
type Bar struct {
	Kind      string // refused, ruled, other: what it looks like
	Y, Height int
}

// Total is the number of decisions of the day.
func (d Day) Total() int { return d.Refused + d.Ruled + d.Others }

// Kind sorts a decision: refused, ruled (an administrator's), or other.
func Kind(e api.Event) string {
	switch k := audit.Lookup(e.Kind); {
	case k.Refusal, k.Priority <= audit.Err:
		return "refused"
	case slices.ContainsFunc([]string{"grant", "floor-", "key-", "signer-", "deni", "order-", "guard-"}, func(s string) bool { return strings.HasPrefix(e.Kind, s) }):
		return "ruled"
	}
	return "other"
}

// words says what a decision came to, where it gives no reason of its own.
func words(e api.Event) string { return audit.Lookup(e.Kind).Says(e.Reason) }

// Timeline is the chart of the days before the report was made.
func (v view) Timeline() Timeline {
	midnight := func(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }
	t := Timeline{To: midnight(v.Made), Width: days * dayWidth, Height: barHeight}
	t.From = t.To.AddDate(0, 0, 1-days)
	t.Days = make([]Day, days)
	for i := range t.Days {
		t.Days[i].Date, t.Days[i].X = t.From.AddDate(0, 0, i), i*dayWidth+2
	}
	for _, e := range v.Decisions {
		i := int(midnight(e.When).Sub(t.From) / (24 * time.Hour))
		if e.When.Before(t.From) || i >= days {
			continue
		}
		d := &t.Days[i]
		switch Kind(e) {
		case "refused":
			d.Refused++
		case "ruled":
			d.Ruled++
		default:
			d.Others++
		}
		t.Highest = max(t.Highest, d.Total())
	}
	for i := range t.Days {
		t.Days[i].stack(t.Highest)
	}
	return t
}

// stack makes the bars of a day.
func (d *Day) stack(highest int) {
	d.Bars = stacked(highest, shares{"other", d.Others}, shares{"ruled", d.Ruled}, shares{"refused", d.Refused})
}

// shares is how many of a column are of one kind.
type shares struct {
	kind string
	n    int
}

// stacked makes the bars of a column, from the ground up; what is there at all is to be seen.
func stacked(highest int, parts ...shares) (bars []Bar) {
	y := barHeight
	for _, p := range parts {
		if p.n == 0 {
			continue
		}
		h := max(3, p.n*(barHeight-8)/highest)
		y -= h
		bars = append(bars, Bar{p.kind, max(y, 0), h})
	}
	return bars
}
