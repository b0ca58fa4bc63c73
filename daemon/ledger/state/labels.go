// SPDX-License-Identifier: Apache-2.0

package state

import (
	"time"
)

const (
	// MetaLabels is JSON: the files whose labels are still to be written, as
	// savedLabels.
	MetaLabels = "labels"
	// Of so many files, with paths so long together, each is remembered. If there are more, it
	// looks at the files of all lists.
	MaxLeftLabels    = 10_000
	maxLeftLabelSize = 1 << 20

	// The pauses between attempts to write labels.
	FirstLabelRetry = time.Second
	LastLabelRetry  = time.Minute
	// StopLabels bounds what is done about labels when digestd stops.
	StopLabels = 10 * time.Second
)

// LabelsLeft are the files whose labels are still to be written.
type LabelsLeft struct {
	Files  map[string]LeftLabel // by path
	size   int                  // of the paths together
	All    bool                 // there are more than files has
	serial uint64
	Stale  map[string]bool // lists the labels of whose files are to be written anew, for none was held until now
}

type LeftLabel struct {
	Why    string
	Serial uint64
}

func (l *LabelsLeft) Add(path, why string) {
	if _, known := l.Files[path]; !known {
		if len(l.Files) >= MaxLeftLabels || l.size+len(path) > maxLeftLabelSize {
			l.All = true
			return
		}
		l.size += len(path)
	}
	l.serial++
	l.Files[path] = LeftLabel{why, l.serial}
}

// Done forgets a file, unless its label was left once more since.
func (l *LabelsLeft) Done(path string, since LeftLabel) {
	if l.Files[path].Serial == since.Serial {
		delete(l.Files, path)
		l.size -= len(path)
	}
}
