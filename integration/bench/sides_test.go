// SPDX-License-Identifier: Apache-2.0

package bench_test

import (
	"github.com/digestd/digestd/integration/pkgtest"
)

// reference is the commit that today's tree is measured beside.
const reference = "4826576"

// runs is how often each side does what is measured. A figure is the median.
const runs = 5

// side is a state of digestd that is measured.
type side struct {
	name     string
	at       int // in a pair
	programs pkgtest.Programs
}

// today and then are the sides' places in a pair.
const (
	today = iota
	then
)

// sides builds today's programs and those of the reference.
func (l *lab) buildSides() {
	l.Helper()
	programs, err := pkgtest.BuildPrograms(l.TempDir())
	if err != nil {
		l.Fatal(err)
	}
	l.sides = []side{{"today", today, programs}}
	if *alone {
		return
	}
	source := l.TempDir()
	if err := pkgtest.SourceOf(reference, source); err != nil {
		l.Fatal(err)
	}
	if programs, err = pkgtest.BuildProgramsOf(source, l.TempDir()); err != nil {
		l.Fatal(err)
	}
	l.sides = append(l.sides, side{reference, then, programs})
}

// alternate runs measure on each side in turn, and changes the order from run to
// run: what the machine does meanwhile concerns both.
func (l *lab) alternate(measure func(side)) {
	for i := range runs {
		for j := range l.sides {
			measure(l.sides[(i+j)%len(l.sides)])
		}
	}
}

// started runs a daemon of each side on the root and returns them by the
// sides' places.
func (l *lab) started(root *pkgtest.Root) (daemons [2]*pkgtest.Daemon) {
	l.Helper()
	for _, s := range l.sides {
		daemons[s.at] = l.daemon(s, root)
		daemons[s.at].Start()
	}
	return daemons
}
