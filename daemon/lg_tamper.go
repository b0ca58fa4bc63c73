// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"slices"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store/record"
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
func (s *state) tampered(name string, body record.Digest, why string) {
	count, burst := &s.tampering.foreign, foreignBurst
	if s.byName[name] != nil || name == s.listDir {
		count, burst = &s.tampering.ours, oursBurst
	}
	if !count.tell(name, burst, s.now()) {
		s.wake[wakeChores] = true // to sum it up
		return
	}
	s.log.Error("list directory tampered with", "name", name, "reason", why)
	s.event(record.Event{Kind: audit.KindTampered, List: name, Digest: body, Reason: "tampered", Text: why})
	s.after(func(o observer) { o.TamperDetected(name, why) })
}

// sumUp records the tampering that was not told one by one, and reports whether some
// is left for later.
func (s *state) sumUp() (left bool) {
	now := s.now()
	for _, count := range []*tampering{&s.tampering.ours, &s.tampering.foreign} {
		if count.due(now) {
			name := s.listDir
			why := fmt.Sprintf("%d more cases within %v, the first %s, the last %s", count.more, now.Sub(count.began).Round(time.Second), count.first, count.last)
			count.more = 0
			s.log.Error("list directory tampered with", "name", name, "reason", why)
			s.event(record.Event{Kind: audit.KindTampered, List: name, Reason: "tampered", Text: why})
			s.after(func(o observer) { o.TamperDetected(name, why) })
		}
		left = left || count.more > 0
	}
	return left
}

// quarantine takes a file out of the directory that does not belong there, and
// keeps it if there is room.
func (s *state) quarantine(x *seen, body record.Digest, why string) {
	size := x.size
	for _, r := range s.plan.aside {
		size += r.size // which may be kept as well
	}
	now := s.now()
	r := removal{name: x.name, stamp: now.UTC().Format("20060102T150405Z"), size: x.size}
	r.drop = len(s.asides)+len(s.plan.aside) >= maxAsides || s.asideBytes()+size > maxAsideBytes
	r.then = func(asideName string, err error) {
		switch {
		case err != nil:
			s.log.Error("file not quarantined", "name", x.name, "error", err)
			s.problem("directory", api.SeverityError, err.Error(), "move it out of the list directory by hand, then: digestctl sync")
			return
		case r.drop:
			s.tampered(x.name, body, why+"; not kept, the quarantine is full")
			s.notKept++
		default:
			s.tampered(x.name, body, why)
			a := record.Aside{Name: asideName, List: x.name, Digest: body, Size: x.size, Reason: why, When: now}
			s.asides = append(s.asides[:len(s.asides):len(s.asides)], a)
			s.queue.batch.PutAside(a)
		}
		s.tellAsides()
	}
	s.plan.aside = append(s.plan.aside, r)
}

func (s *state) asideBytes() (sum int64) {
	for _, a := range s.asides {
		sum += a.Size
	}
	return sum
}

// asidesGone forgets the files in quarantine that somebody has taken away.
func (s *state) asidesGone(names []string) {
	kept := s.asides[:0:0]
	for _, a := range s.asides {
		if slices.Contains(names, a.Name) {
			s.queue.batch.DeleteAside(a.Name)
		} else {
			kept = append(kept, a)
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
	text := fmt.Sprintf("another hand was in the list directory: %s in quarantine", view.Plural(len(s.asides), "file"))
	if s.notKept > 0 {
		text += fmt.Sprintf(", which is full: %d more were removed", s.notKept)
	}
	s.problem("quarantine", api.SeverityWarning, text,
		"find out who it was: digestctl list quarantined; then remove the files from "+s.listDir+".quarantine")
}
