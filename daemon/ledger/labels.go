// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
)

// savedLabels is how the index has them. A path need not be UTF-8.
type savedLabels struct {
	Paths [][]byte `json:"paths"`
	All   bool     `json:"all,omitempty"`
}

func (s *Ledger) loadLabels(meta map[string][]byte) error {
	data := meta[state.MetaLabels]
	if data == nil {
		return nil
	}
	var saved savedLabels
	if err := json.Unmarshal(data, &saved); err != nil {
		return fmt.Errorf("cannot read which labels are left: %w", err)
	}
	for _, path := range saved.Paths {
		s.Labels.Add(string(path), "not written before the last stop")
	}
	s.Labels.All = s.Labels.All || saved.All
	s.tellOfLabels()
	s.Wake[state.WakeLabels] = true
	return nil
}

// SaveLabels records what is left, and tells the administrator.
func (s *Ledger) SaveLabels() {
	var data []byte
	if len(s.Labels.Files) > 0 || s.Labels.All {
		saved := savedLabels{All: s.Labels.All}
		for _, path := range slices.Sorted(maps.Keys(s.Labels.Files)) {
			saved.Paths = append(saved.Paths, []byte(path))
		}
		var err error
		if data, err = json.Marshal(saved); err != nil {
			s.Log.Error("labels that are left not recorded", "error", err)
			return
		}
		s.Wake[state.WakeLabels] = true
	}
	s.Queue.Batch.SetMeta(state.MetaLabels, data)
	s.tellOfLabels()
	s.Record()
}

func (s *Ledger) tellOfLabels() {
	if len(s.Labels.Files) == 0 && !s.Labels.All {
		s.Solved("labels")
		return
	}
	n := view.Plural(len(s.Labels.Files), "file")
	if s.Labels.All {
		n = "more than " + n
	}
	text := "cannot write the label of " + n + ", which the kernel needs to find its list"
	if len(s.Labels.Files) > 0 {
		path := slices.Min(slices.Collect(maps.Keys(s.Labels.Files)))
		why := strings.TrimPrefix(s.Labels.Files[path].Why, "cannot label: ")
		text += fmt.Sprintf("; the first is %s: %s", printable(path), why)
	}
	s.Problem("labels", api.SeverityError, text,
		"make the file writable (chattr -i FILE if it is immutable, mount -o remount,rw if its file system is read-only); digestd retries automatically, or retry now: digestctl sync")
}

// printable quotes a path only where it must be.
func printable(path string) string {
	if quoted := fmt.Sprintf("%q", path); quoted != `"`+path+`"` {
		return quoted
	}
	return path
}

// ToHold are the names of the lists that must be held: until one is gone the kernel may
// go by it.
func (s *Ledger) ToHold() (names []string) {
	for _, e := range s.Sorted() {
		if e.Active() || e.Change != "" {
			names = append(names, e.Name)
		}
	}
	for name := range s.Leftovers {
		names = append(names, name)
	}
	return names
}

// Held takes note of the lists that were not held until now, and of why some are not
// held still. Labels of the former are to be written anew: the kernel may have cached one
// before, and have lost the way to its cache since.
func (s *Ledger) Held(fresh []string, err error) {
	for _, name := range fresh {
		s.Labels.Stale[name] = true
	}
	if len(fresh) > 0 {
		s.Wake[state.WakeLabels] = true
	}
	if err != nil {
		s.Problem("held", api.SeverityWarning, err.Error()+"; the kernel may still allow files of such a list after it is withdrawn",
			"raise LimitNOFILE= of digestd.service above the number of lists by 1024, then: systemctl restart digestd")
		return
	}
	s.Solved("held")
}
