// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/view"
)

const (
	// metaLabels is JSON: the files whose labels are still to be written, as
	// savedLabels.
	metaLabels = "labels"
	// Of so many files, with paths so long together, each is remembered. Where there
	// are more, the files of all lists are looked at.
	maxLeftLabels    = 10_000
	maxLeftLabelSize = 1 << 20

	// The pauses between attempts to write labels.
	firstLabelRetry = time.Second
	lastLabelRetry  = time.Minute
	// stopLabels bounds what is done about labels when digestd stops.
	stopLabels = 10 * time.Second
)

// labelsLeft are the files whose labels are still to be written.
type labelsLeft struct {
	files  map[string]leftLabel // by path
	size   int                  // of the paths together
	all    bool                 // there are more than files has
	serial uint64
	stale  map[string]bool // lists the labels of whose files are to be written anew, for none was held until now
}

type leftLabel struct {
	why    string
	serial uint64
}

// savedLabels is how the index has them. A path need not be UTF-8.
type savedLabels struct {
	Paths [][]byte `json:"paths"`
	All   bool     `json:"all,omitempty"`
}

func (s *state) loadLabels(meta map[string][]byte) error {
	data := meta[metaLabels]
	if data == nil {
		return nil
	}
	var saved savedLabels
	if err := json.Unmarshal(data, &saved); err != nil {
		return fmt.Errorf("cannot read which labels are left: %w", err)
	}
	for _, path := range saved.Paths {
		s.labels.add(string(path), "not written before the last stop")
	}
	s.labels.all = s.labels.all || saved.All
	s.tellOfLabels()
	s.wake[wakeLabels] = true
	return nil
}

func (l *labelsLeft) add(path, why string) {
	if _, known := l.files[path]; !known {
		if len(l.files) >= maxLeftLabels || l.size+len(path) > maxLeftLabelSize {
			l.all = true
			return
		}
		l.size += len(path)
	}
	l.serial++
	l.files[path] = leftLabel{why, l.serial}
}

// done forgets a file, unless its label was left once more since.
func (l *labelsLeft) done(path string, since leftLabel) {
	if l.files[path].serial == since.serial {
		delete(l.files, path)
		l.size -= len(path)
	}
}

// saveLabels records what is left, and tells the administrator.
func (s *state) saveLabels() {
	var data []byte
	if len(s.labels.files) > 0 || s.labels.all {
		saved := savedLabels{All: s.labels.all}
		for _, path := range slices.Sorted(maps.Keys(s.labels.files)) {
			saved.Paths = append(saved.Paths, []byte(path))
		}
		var err error
		if data, err = json.Marshal(saved); err != nil {
			s.log.Error("labels that are left not recorded", "error", err)
			return
		}
		s.wake[wakeLabels] = true
	}
	s.queue.batch.SetMeta(metaLabels, data)
	s.tellOfLabels()
	s.record()
}

func (s *state) tellOfLabels() {
	if len(s.labels.files) == 0 && !s.labels.all {
		s.solved("labels")
		return
	}
	n := view.Plural(len(s.labels.files), "file")
	if s.labels.all {
		n = "more than " + n
	}
	text := "cannot write the label of " + n + " that the kernel needs to find the list by"
	if len(s.labels.files) > 0 {
		path := slices.Min(slices.Collect(maps.Keys(s.labels.files)))
		why := strings.TrimPrefix(s.labels.files[path].why, "cannot label: ")
		text += fmt.Sprintf("; the first is %s: %s", printable(path), why)
	}
	s.problem("labels", api.SeverityError, text,
		"let the file be changed (chattr -i FILE if it is immutable, mount -o remount,rw if its file system is read-only): digestd tries again by itself; or at once: digestctl sync")
}

// printable quotes a path only where it must be.
func printable(path string) string {
	if quoted := fmt.Sprintf("%q", path); quoted != `"`+path+`"` {
		return quoted
	}
	return path
}

// toHold are the names of the lists that must be held: until one is gone the kernel may
// go by it.
func (s *state) toHold() (names []string) {
	for _, e := range s.sorted() {
		if e.Active() || e.Change != "" {
			names = append(names, e.Name)
		}
	}
	for name := range s.leftovers {
		names = append(names, name)
	}
	return names
}

// held takes note of the lists that were not held until now, and of why some are not
// held still. Labels of the former are to be written anew: the kernel may have cached one
// before, and have lost the way to its cache since.
func (s *state) held(fresh []string, err error) {
	for _, name := range fresh {
		s.labels.stale[name] = true
	}
	if len(fresh) > 0 {
		s.wake[wakeLabels] = true
	}
	if err != nil {
		s.problem("held", api.SeverityWarning, err.Error()+"; the kernel may go on letting files run that such a list vouched for after it is gone",
			"raise LimitNOFILE= of digestd.service above the number of lists by 1024, then: systemctl restart digestd")
		return
	}
	s.solved("held")
}
