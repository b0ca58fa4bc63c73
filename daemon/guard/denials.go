// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"cmp"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/digestd/digestd/kernel/guard"
)

// maxDenials is how many sums are kept; with their texts they fit into one answer. maxHours
// is how many hours are kept in which something was refused.
const (
	maxDenials = 512
	maxHours   = 7 * 24
)

// Denials is what the guard refused, or would have refused in mode enforce. It is
// summed up: what has the same digest, act, reason and, without a digest, file is one.
type Denials struct {
	All     []Denial `json:"denials"` // the latest last
	Lost    uint64   `json:"lost"`    // refusals that the kernel had no room to tell of
	Dropped uint64   `json:"dropped"` // sums that had to make room for later ones
	Hours   []Hour   `json:"hours"`   // in which there was any, the latest last
}

// Hour counts what happened within one.
type Hour struct {
	Start   time.Time `json:"start"`
	Refused uint64    `json:"refused"`
	Allowed uint64    `json:"allowed"` // would have been refused in mode enforce
}

// Denial is a sum, with the latest of what it sums up.
type Denial struct {
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	Count   uint64    `json:"count"`
	Refused uint64    `json:"refused"` // how many of Count; the others ran
	Act     string    `json:"act"`
	Reason  string    `json:"reason"`
	Digest  string    `json:"digest,omitempty"`  // SHA-256 of the content in hexadecimal
	Path    string    `json:"path,omitempty"`    // as the process saw it
	RawPath []byte    `json:"rawPath,omitempty"` // its bytes, when they are not UTF-8
	Device  uint32    `json:"device,omitempty"`
	Inode   uint64    `json:"inode,omitempty"`
	By      By        `json:"by"`
}

// By is the process that was refused.
type By struct {
	PID     uint32 `json:"pid"`
	Parent  uint32 `json:"parent"`
	UID     uint32 `json:"uid"`
	Command string `json:"command"`
	Unit    string `json:"unit,omitempty"` // of systemd; "" where it is not known
}

// sum is what is one in Denials.
type sum struct {
	act    guard.Act
	reason guard.Reason
	digest guard.Digest
	file   guard.FileID
}

// Log sums refusals up. Its zero value is empty. Any goroutine may call it.
type Log struct {
	mu      sync.Mutex
	sums    map[sum]*Denial
	lost    uint64
	dropped uint64
	hours   []Hour // by start
}

// Add takes an event that happened at a time, by a process of a unit. It says whether
// nothing like it was there before.
func (l *Log) Add(e *guard.Event, at time.Time, unit string) (first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := sum{act: e.Act, reason: e.Reason, file: e.File}
	if e.Digest != nil {
		key.digest, key.file = *e.Digest, guard.FileID{}
	}
	d := l.sums[key]
	if d == nil {
		if l.sums == nil {
			l.sums = map[sum]*Denial{}
		}
		l.makeRoom()
		d = &Denial{First: at, Act: e.Act.String(), Reason: e.Reason.String()}
		if e.Digest != nil {
			d.Digest = hex.EncodeToString(e.Digest[:])
		}
		l.sums[key], first = d, true
	}
	d.Last, d.Count = at, d.Count+1
	h := l.hour(at)
	if e.Refused {
		d.Refused++
		h.Refused++
	} else {
		h.Allowed++
	}
	if e.Path != "" {
		if d.Path, d.RawPath = e.Path, nil; !utf8.ValidString(e.Path) {
			d.RawPath = []byte(e.Path)
		}
	}
	d.Device, d.Inode = e.File.Device, e.File.Inode
	d.By = By{PID: e.Process.PID, Parent: e.Process.Parent, UID: e.Process.UID, Command: e.Process.Command, Unit: unitName(unit)}
	return first
}

// unitName returns a name that a unit can have, or "". A user can make cgroups of any name, and
// all sums must fit into one answer.
func unitName(name string) string {
	const longest = 255
	allowed := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(`:-_.\@`, r)
	}
	if len(name) > longest || strings.ContainsFunc(name, func(r rune) bool { return !allowed(r) }) {
		return ""
	}
	return name
}

// hour returns the hour of a time, which may lie before the latest: clocks are set.
func (l *Log) hour(at time.Time) *Hour {
	start := at.UTC().Truncate(time.Hour)
	i, found := slices.BinarySearchFunc(l.hours, start, func(h Hour, t time.Time) int { return h.Start.Compare(t) })
	if !found {
		if len(l.hours) >= maxHours {
			if i == 0 {
				return new(Hour) // before all that are kept
			}
			l.hours = slices.Delete(l.hours, 0, 1)
			i--
		}
		l.hours = slices.Insert(l.hours, i, Hour{Start: start})
	}
	return &l.hours[i]
}

// makeRoom drops the sum that nothing was added to for the longest time.
func (l *Log) makeRoom() {
	if len(l.sums) < maxDenials {
		return
	}
	var oldest sum
	var at time.Time
	for key, d := range l.sums {
		if at.IsZero() || d.Last.Before(at) {
			oldest, at = key, d.Last
		}
	}
	delete(l.sums, oldest)
	l.dropped++
}

// SetLost says how many events the kernel had no room for.
func (l *Log) SetLost(n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = n
}

// Denials returns what was summed up.
func (l *Log) Denials() Denials {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := Denials{All: []Denial{}, Lost: l.lost, Dropped: l.dropped, Hours: append([]Hour{}, l.hours...)}
	for _, d := range l.sums {
		all.All = append(all.All, *d)
	}
	slices.SortFunc(all.All, func(a, b Denial) int {
		return cmp.Or(a.Last.Compare(b.Last), cmp.Compare(a.Digest, b.Digest), cmp.Compare(a.Inode, b.Inode))
	})
	return all
}
