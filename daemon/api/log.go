// SPDX-License-Identifier: Apache-2.0

package api

import (
	"fmt"
	"time"
	"unicode"

	"github.com/godbus/dbus/v5"
)

// LogFilter selects entries of the log. A field that is not set selects all. The bus carries it
// as a Dict with the keys that ParseLogFilter knows.
type LogFilter struct {
	Kind    string    // a kind, or a glob of kinds
	Package string    // name, name.arch, NEVRA or a glob of them
	List    string    // its name, or a glob
	Key     string    // a fingerprint, or the end of one
	Since   time.Time // at or after this time
	Until   time.Time // before this time
	UID     *uint32   // of the user who caused the entry
	After   uint64    // entries with a higher number
	Before  uint64    // entries with a lower number
}

// LogHead is the end of one of the log's two hash chains.
type LogHead struct {
	Room        string `json:"room"`                 // decisions, tampering
	Seq         uint64 `json:"seq"`                  // of the last entry
	Hash        string `json:"hash"`                 // SHA-256 of that entry and all before it
	Dropped     uint64 `json:"dropped,omitzero"`     // the last entry that was dropped
	DroppedHash string `json:"droppedHash,omitzero"` // the hash of that entry
}

// LogCheck is the result of a check of the log.
type LogCheck struct {
	Entries   int       `json:"entries"`            // entries in the log
	Unchained int       `json:"unchained,omitzero"` // of these, entries from before the hash chains
	Heads     []LogHead `json:"heads"`              // at the time of the check
	Faults    []string  `json:"faults"`             // entries that were cut, changed or moved: the first 100
	More      int       `json:"more,omitzero"`      // number of further faults
}

// maxFilter bounds the texts of a filter, in bytes.
const maxFilter = 1024

// Dict returns f as the bus carries it.
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

// ParseLogFilter reads the filter of a caller. An unknown key is an error: to skip it would
// select entries that the caller did not ask for.
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
