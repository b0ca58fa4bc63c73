// SPDX-License-Identifier: Apache-2.0

package view

import (
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// Past is what binds the index to what was decided before, and what the machine was then.
type Past struct {
	Anchor record.Anchor // zero: nothing
	Urgent bool          // what was decided since the epoch began is to be anchored at once
	Doubt  policy.Doubt  // why the index may have forgotten something

	Deployed *record.Deployment // that the machine was running last, never changed; nil: not known
}

// Decided is what follows when something was decided which an older index must not undo.
func (p Past) Decided(urgent bool) Past {
	if p.Anchor.Name != "" {
		p.Anchor.Due, p.Urgent = true, p.Urgent || urgent
	}
	return p
}

// Highest is the highest version that is installed, by the entries of a line.
func Highest(entries []*Entry) (high nevra.EVR) {
	for _, e := range entries {
		if e.Grace == "" && (high.IsZero() || nevra.Compare(e.Package.EVR, high) > 0) {
			high = e.Package.EVR
		}
	}
	return high
}
