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
func (s *sample) min() float64    { return slices.Min(s.values) }
func (s *sample) max() float64    { return slices.Max(s.values) }

// text shows the median and the spread.
func (s *sample) text(unit string) string {
	return fmt.Sprintf("%.3g %s (%.3g to %.3g)", s.median(), unit, s.min(), s.max())
}

// microseconds shows median, 99th percentile and maximum.
func (s *sample) microseconds() string {
	return fmt.Sprintf("%.0f µs, %.0f µs, %.0f µs", s.median(), s.quantile(0.99), s.max())
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// report is the table of figures.
type report struct{ rows []string }

// row adds a figure. Its title is formatted with args.
func (r *report) row(title, measured, bound string, holds bool, args ...any) {
	verdict := "yes"
	switch {
	case bound == "":
		verdict = ""
	case !holds:
		verdict = "**no**"
	}
	r.rows = append(r.rows, fmt.Sprintf("| %s | %s | %s | %s |", fmt.Sprintf(title, args...), measured, bound, verdict))
}

func (r *report) String() string {
	return fmt.Sprintf(page, machine(), strings.Join(r.rows, "\n"))
}
