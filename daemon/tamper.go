// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/store"
)

// What others do to the list directory they can do ten thousand times a second. Each
// of it is undone; but only so much of it is told one by one, and kept.
const (
	// maxAsides and maxAsideBytes bound the quarantine: what comes first is kept.
	maxAsides     = 1000
	maxAsideBytes = 256 << 20

	// foreignBurst and oursBurst are how many cases are told one by one at a time; one
	// more may be after each tamperPause, and all others are summed up as often.
	foreignBurst = 32
	oursBurst    = 256
	tamperPause  = 10 * time.Second
)

// tampering counts the cases of one sort.
type tampering struct {
	told  int       // one by one
	since time.Time // told is as of then

	more        int // not told one by one
	first, last string
	began       time.Time // the first of these
}

// tell reports whether a case is to be told by itself, of which burst may be at a
// time, and counts it.
func (t *tampering) tell(name string, burst int, now time.Time) bool {
	if forgiven := int(now.Sub(t.since) / tamperPause); forgiven != 0 { // also by a clock that was set back
		t.told, t.since = max(t.told-max(forgiven, 0), 0), now
	}
	if t.told < burst {
		t.told++
		return true
	}
	if t.more == 0 {
		t.first, t.began = name, now
	}
	t.more++
	t.last = name
	return false
}

// due reports whether what was not told is to be summed up.
func (t *tampering) due(now time.Time) bool {
	pause := now.Sub(t.began)
	return t.more > 0 && (pause >= tamperPause || pause < 0)
}

// tampered records that another hand touched the directory. What happens to lists of
// ours is counted by itself: it must not be lost among files that do nothing.
func (s *state) tampered(name string, body store.Digest, why string) {
	count, burst := &s.tampering.foreign, foreignBurst
	if s.byName[name] != nil || name == s.dir.Path() {
		count, burst = &s.tampering.ours, oursBurst
	}
	if !count.tell(name, burst, s.now()) {
		s.chore() // to sum it up
		return
	}
	s.log.Error("list directory tampered with", "name", name, "reason", why)
	s.event(store.Event{Kind: audit.KindTampered, List: name, Digest: body, Reason: "tampered", Text: why})
	s.after(func(o observer) { o.TamperDetected(name, why) })
}

// sumUp records the tampering that was not told one by one, and reports whether some
// is left for later.
func (s *state) sumUp() (left bool) {
	now := s.now()
	for _, count := range []*tampering{&s.tampering.ours, &s.tampering.foreign} {
		if count.due(now) {
			name := s.dir.Path()
			why := fmt.Sprintf("%d more cases within %v, the first %s, the last %s", count.more, now.Sub(count.began).Round(time.Second), count.first, count.last)
			count.more = 0
			s.log.Error("list directory tampered with", "name", name, "reason", why)
			s.event(store.Event{Kind: audit.KindTampered, List: name, Reason: "tampered", Text: why})
			s.after(func(o observer) { o.TamperDetected(name, why) })
		}
		left = left || count.more > 0
	}
	return left
}

func (s *state) quarantine(name, why string) { s.quarantineBody(name, store.Digest{}, why) }

// quarantineBody takes a file out of the directory that does not belong there, and
// keeps it if there is room.
func (s *state) quarantineBody(name string, body store.Digest, why string) {
	size, err := s.dir.Size(name, maxAsideBytes)
	if err == nil && (len(s.asides) >= maxAsides || s.asideBytes()+size > maxAsideBytes) {
		if err = s.dir.Remove(name); err == nil {
			s.tampered(name, body, why+"; not kept, the quarantine is full")
			s.notKept++
			s.tellAsides()
			return
		}
	}
	now := s.now()
	asideName := ""
	if err == nil {
		asideName, err = s.dir.Quarantine(name, now.UTC().Format("20060102T150405Z"))
	}
	if err != nil {
		s.log.Error("file not quarantined", "name", name, "error", err)
		s.problem("directory", api.SeverityError, err.Error(), "move it out of the list directory by hand, then: digestctl sync")
		return
	}
	s.tampered(name, body, why)
	a := store.Aside{Name: asideName, List: name, Digest: body, Size: size, Reason: why, When: now}
	s.asides = append(s.asides[:len(s.asides):len(s.asides)], a)
	s.batch.PutAside(a)
	s.tellAsides()
}

func (s *state) asideBytes() (sum int64) {
	for _, a := range s.asides {
		sum += a.Size
	}
	return sum
}

// checkAsides forgets the files in quarantine that somebody has taken away.
func (s *state) checkAsides() {
	kept := s.asides[:0:0]
	for _, a := range s.asides {
		if s.dir.InQuarantine(a.Name) {
			kept = append(kept, a)
		} else {
			s.batch.DeleteAside(a.Name)
		}
	}
	s.asides = kept
	s.tellAsides()
}

func (s *state) tellAsides() {
	if len(s.asides) == 0 {
		s.notKept = 0
		s.solved("quarantine")
		return
	}
	text := fmt.Sprintf("another hand was in the list directory: %s in quarantine", plural(len(s.asides), "file"))
	if s.notKept > 0 {
		text += fmt.Sprintf(", which is full: %d more were removed", s.notKept)
	}
	s.problem("quarantine", api.SeverityWarning, text,
		"find out who it was: digestctl list quarantined; then remove the files from "+s.dir.QuarantinePath())
}
