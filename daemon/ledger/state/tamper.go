// SPDX-License-Identifier: Apache-2.0

package state

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store/record"
)

// Another program can change the list directory ten thousand times a second. Each of it is
// undone; but only so much of it is told one by one, and kept.
const (
	// maxAsides and maxAsideBytes bound the quarantine: what comes first is kept.
	maxAsides     = 1000
	MaxAsideBytes = 256 << 20

	// ForeignBurst and oursBurst are how many cases are told one by one at a time; one
	// more may be after each tamperPause, and all others are summed up as often.
	ForeignBurst = 32
	oursBurst    = 256
	TamperPause  = 10 * time.Second
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
	if forgiven := int(now.Sub(t.since) / TamperPause); forgiven != 0 { // also by a clock that was set back
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
	return t.more > 0 && (pause >= TamperPause || pause < 0)
}

// Tampered records that something other than digestd changed the directory. It counts changes
// of digestd's own lists separately: it must not be lost among files that do nothing.
func (s *State) Tampered(name string, body record.Digest, why string) {
	count, burst := &s.tampering.foreign, ForeignBurst
	if s.ByName[name] != nil || name == s.ListDir {
		count, burst = &s.tampering.ours, oursBurst
	}
	if !count.tell(name, burst, s.Now()) {
		s.Wake[WakeChores] = true // to sum it up
		return
	}
	s.Log.Error("list directory tampered with", "name", name, "reason", why)
	s.Event(record.Event{Kind: audit.KindTampered, List: name, Digest: body, Reason: "tampered", Text: why})
	s.After(func(o Observer) { o.TamperDetected(name, why) })
}

// SumUp records the tampering that was not told one by one, and reports whether some
// is left for later.
func (s *State) SumUp() (left bool) {
	now := s.Now()
	for _, count := range []*tampering{&s.tampering.ours, &s.tampering.foreign} {
		if count.due(now) {
			name := s.ListDir
			why := fmt.Sprintf("%d more cases within %v, from %s to %s", count.more, now.Sub(count.began).Round(time.Second), count.first, count.last)
			count.more = 0
			s.Log.Error("list directory tampered with", "name", name, "reason", why)
			s.Event(record.Event{Kind: audit.KindTampered, List: name, Reason: "tampered", Text: why})
			s.After(func(o Observer) { o.TamperDetected(name, why) })
		}
		left = left || count.more > 0
	}
	return left
}

// Quarantine takes a file out of the directory that does not belong there, and
// keeps it if there is room.
func (s *State) Quarantine(x *Seen, body record.Digest, why string) {
	kept, size := len(s.Asides), s.asideBytes()
	for _, r := range s.Plan.Aside {
		if !r.Drop {
			kept, size = kept+1, size+r.size
		}
	}
	now := s.Now()
	r := removal{Name: x.Name, Stamp: now.UTC().Format(asideStamp), size: x.Size}
	r.Drop = kept >= maxAsides || size+x.Size > MaxAsideBytes
	r.Then = func(asideName string, err error) {
		switch {
		case err != nil:
			s.Log.Error("file not quarantined", "name", x.Name, "error", err)
			s.Problem("directory", api.SeverityError, err.Error(), "move it out of the list directory manually, then: digestctl sync")
			return
		case r.Drop:
			s.Tampered(x.Name, body, why+"; not kept, the quarantine is full")
			s.notKept++
		default:
			s.Tampered(x.Name, body, why)
			a := record.Aside{Name: asideName, List: x.Name, Digest: body, Size: x.Size, Reason: why, When: now}
			s.Asides = append(s.Asides[:len(s.Asides):len(s.Asides)], a)
			s.Queue.Batch.PutAside(a)
		}
		s.tellAsides()
	}
	s.Plan.Aside = append(s.Plan.Aside, r)
}

func (s *State) asideBytes() (sum int64) {
	for _, a := range s.Asides {
		sum += a.Size
	}
	return sum
}

// AsidesGone forgets the files in quarantine that somebody has taken away.
func (s *State) AsidesGone(names []string) {
	kept := s.Asides[:0:0]
	for _, a := range s.Asides {
		if slices.Contains(names, a.Name) {
			s.Queue.Batch.DeleteAside(a.Name)
		} else {
			kept = append(kept, a)
		}
	}
	s.Asides = kept
	s.tellAsides()
}

// asideStamp is how the names of files in quarantine begin, which [State.Quarantine] gives.
const asideStamp = "20060102T150405Z"

// AsidesFound records files that lie in quarantine without a record: digestd was stopped after
// it had moved them there. It ignores files with names that digestd does not give.
func (s *State) AsidesFound(found []record.Aside) {
	for _, a := range found {
		stamp, list, _ := strings.Cut(a.Name, "-")
		when, err := time.Parse(asideStamp, stamp)
		if err != nil || list == "" || len(s.Asides) >= maxAsides {
			continue
		}
		a.List, a.When = list, when
		a.Reason = "set aside before digestd was stopped, which could not record why"
		s.Tampered(a.List, record.Digest{}, a.Reason)
		s.Asides = append(s.Asides[:len(s.Asides):len(s.Asides)], a)
		s.Queue.Batch.PutAside(a)
		s.Record()
	}
	s.tellAsides()
}

func (s *State) tellAsides() {
	if len(s.Asides) == 0 {
		s.notKept = 0
		s.Solved("quarantine")
		return
	}
	text := fmt.Sprintf("something other than digestd changed the list directory: %s in quarantine", view.Plural(len(s.Asides), "file"))
	if s.notKept > 0 {
		text += fmt.Sprintf(", which is full: %d more were removed", s.notKept)
	}
	s.Problem("quarantine", api.SeverityWarning, text,
		"find out which program did this: digestctl list quarantined; then remove the files from "+s.ListDir+".quarantine")
}
