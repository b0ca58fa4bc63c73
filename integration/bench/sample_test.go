// SPDX-License-Identifier: Apache-2.0

package bench_test

import (
	"fmt"
	"slices"
	"strings"
)

// sample holds measured values.
type sample struct{ values []float64 }

func (s *sample) add(v float64) { s.values = append(s.values, v) }

// quantile returns the value below which a share q of all lie.
func (s *sample) quantile(q float64) float64 {
	sorted := slices.Sorted(slices.Values(s.values))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func (s *sample) median() float64 { return s.quantile(0.5) }

// text shows the median and the value of every run, in the order of the runs.
func (s *sample) text(unit string) string {
	if len(s.values) == 0 {
		return "–"
	}
	all := make([]string, len(s.values))
	for i, v := range s.values {
		all[i] = fmt.Sprintf("%.3g", v)
	}
	return fmt.Sprintf("**%.3g %s** (%s)", s.median(), unit, strings.Join(all, ", "))
}

// pair holds what both sides measured, by their places.
type pair [2]sample

// bound is what a figure must not exceed, and the goal beyond it.
type bound struct {
	text        string // both, as the table shows them
	most, goal  float64
	hasGoal     bool
	notEnforced bool // the figure only informs
}

// atMost is a bound without a goal.
func atMost(v float64, unit string) bound {
	return bound{text: fmt.Sprintf("at most %.3g %s", v, unit), most: v}
}

// aim adds the goal to a bound.
func (b bound) aim(v float64, unit string) bound {
	b.text += fmt.Sprintf("; goal %.3g %s", v, unit)
	b.goal, b.hasGoal = v, true
	return b
}

// informs is the bound of a figure that has none.
var informs = bound{notEnforced: true}

func (b bound) verdict(v float64) string {
	switch {
	case b.notEnforced:
		return ""
	case v > b.most:
		return "**no**"
	case b.hasGoal && v <= b.goal:
		return "goal"
	}
	return "yes"
}

// report is the table of figures.
type report struct{ rows []string }

// row adds what both sides measured. The bound is held against today's median.
func (r *report) row(title, unit string, p pair, b bound) {
	r.line(title, p[today].text(unit), p[then].text(unit), b.text, b.verdict(p[today].median()))
}

// ratio is row for a figure that only counts compared with another: the bound is
// held against v.
func (r *report) ratio(title, unit string, p pair, v float64, b bound) {
	text := fmt.Sprintf("%.2f: %s", v, b.text)
	r.line(title, p[today].text(unit), p[then].text(unit), text, b.verdict(v))
}

func (r *report) line(columns ...string) {
	r.rows = append(r.rows, "| "+strings.Join(columns, " | ")+" |")
}

func (r *report) String() string {
	return fmt.Sprintf(page, machine(), strings.Join(r.rows, "\n"))
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// inMiB is a size as a figure of the table.
func inMiB(n int64) float64 { return float64(n) / (1 << 20) }
