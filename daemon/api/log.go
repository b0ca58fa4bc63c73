// SPDX-License-Identifier: Apache-2.0

package api

import (
	"fmt"
	"time"
	"unicode"

	"github.com/godbus/dbus/v5"
)

// LogFilter selects entries of the log; what is not set selects all. It travels
// as a Dict with the keys that ParseLogFilter knows.
type LogFilter struct {
	Kind    string    // a kind, or a glob of kinds
	Package string    // name, name.arch, NEVRA or a glob of them
	List    string    // its name, or a glob
	Key     string    // a fingerprint, or the end of one
	Since   time.Time // that or later
	Until   time.Time // before that
	UID     *uint32   // of the user who did it
	After   uint64    // entries with a higher number
	Before  uint64    // entries with a lower number
}

// LogHead is where one of the log's two hash chains stands.
type LogHead struct {
	Room        string `json:"room"`                 // decisions, tampering
	Seq         uint64 `json:"seq"`                  // of the last entry
	Hash        string `json:"hash"`                 // of that and of all before, SHA-256
	Dropped     uint64 `json:"dropped,omitzero"`     // the last entry that is not kept any more
	DroppedHash string `json:"droppedHash,omitzero"` // its hash
}

// LogCheck is what a check of the log found.
type LogCheck struct {
	Entries   int       `json:"entries"`            // that the log has
	Unchained int       `json:"unchained,omitzero"` // of these, from before the hash chain
	Heads     []LogHead `json:"heads"`              // as of the check
	Faults    []string  `json:"faults"`             // entries that were cut, changed or moved: the first 100
	More      int       `json:"more,omitzero"`      // faults beyond these
}

// maxFilter bounds a text of a filter.
const maxFilter = 1024

// Dict returns f as it travels.
func (f LogFilter) Dict() Dict {
	d := Dict{}
	for name, text := range map[string]string{"kind": f.Kind, "package": f.Package, "list": f.List, "key": f.Key} {
		if text != "" {
			d[name] = dbus.MakeVariant(Clean(text))
		}
	}
	for name, n := range map[string]uint64{"since": microseconds(f.Since), "until": microseconds(f.Until), "after": f.After, "before": f.Before} {
		if n != 0 {
			d[name] = dbus.MakeVariant(n)
		}
	}
	if f.UID != nil {
		d["uid"] = dbus.MakeVariant(*f.UID)
	}
	return d
}

// ParseLogFilter reads what a caller sent. A key that is not known is an error:
// skipped, it would select what was not asked for.
func ParseLogFilter(d Dict) (f LogFilter, err error) {
	var since, until uint64
	texts := map[string]*string{"kind": &f.Kind, "package": &f.Package, "list": &f.List, "key": &f.Key}
	numbers := map[string]*uint64{"since": &since, "until": &until, "after": &f.After, "before": &f.Before}
	for name, v := range d {
		ok := false
		switch x := v.Value().(type) {
		case string:
			if to := texts[name]; to != nil {
				*to, ok = x, true
			}
			if err := checkFilter(name, x); err != nil {
				return f, err
			}
		case uint64:
			if to := numbers[name]; to != nil {
				*to, ok = x, true
			}
		case uint32:
			if name == "uid" {
				f.UID, ok = &x, true
			}
		}
		if !ok {
			return f, Errorf(InvalidArgument, "filter has %.40q of type %s: want kind, package, list or key (s), since, until, after or before (t), uid (u)", name, v.Signature())
		}
	}
	f.Since, f.Until = fromMicroseconds(since), fromMicroseconds(until)
	return f, nil
}

func checkFilter(name, text string) error {
	if len(text) > maxFilter {
		return Errorf(InvalidArgument, "%.40q has %d bytes; at most %d are allowed", name, len(text), maxFilter)
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return Errorf(InvalidArgument, "%s contains an unprintable character: %q", fmt.Sprintf("%.40q", name), text)
		}
	}
	return nil
}
