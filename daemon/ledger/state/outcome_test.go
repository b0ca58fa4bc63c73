// SPDX-License-Identifier: Apache-2.0

package state

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// A list that is settled enters its line and the log by what was decided about it.
func TestSettle(t *testing.T) {
	for name, c := range map[string]struct {
		state    record.State
		decision policy.Decision
		previous *view.Entry // besides its name
		left     int
		quiet    bool
		kinds    string
		records  string
		told     string
	}{
		"published":          {state: record.Active, kinds: "published", records: "lines/bash.x86_64 lists/tlv-bash", told: "published tlv-bash bash-0:5-1.x86_64"},
		"published quietly":  {state: record.Active, quiet: true, records: "lines/bash.x86_64 lists/tlv-bash", told: "published tlv-bash bash-0:5-1.x86_64"},
		"withheld":           {state: record.Withheld, kinds: "withheld", records: "lists/tlv-bash"},
		"withheld quietly":   {state: record.Withheld, quiet: true, kinds: "withheld", records: "lists/tlv-bash"},
		"without files":      {state: record.Empty, records: "lists/tlv-bash"},
		"by a grant":         {state: record.Active, decision: policy.Decision{Grant: true}, kinds: "grant-used", records: "lines/bash.x86_64 lists/tlv-bash", told: "published tlv-bash bash-0:5-1.x86_64"},
		"rollback, withheld": {state: record.Withheld, decision: policy.Decision{Reason: policy.ReasonRollback}, kinds: "rollback-withheld", records: "lists/tlv-bash"},
		"rollback, allowed":  {state: record.Active, decision: policy.Decision{Reason: policy.ReasonRollback}, kinds: "rollback-allowed", records: "lines/bash.x86_64 lists/tlv-bash", told: "published tlv-bash bash-0:5-1.x86_64"},
		"another build": {state: record.Active, previous: &view.Entry{List: record.List{Header: record.Digest{9}, Body: record.Digest{9}}}, kinds: "published",
			records: "lines/bash.x86_64 lists/tlv-bash retired/9", told: "published tlv-bash bash-0:5-1.x86_64"},
		"reduced": {state: record.Active, left: 1, previous: &view.Entry{List: record.List{Header: record.Digest{1}, Body: record.Digest{9}}}, kinds: "published",
			records: "lines/bash.x86_64 lists/tlv-bash retired/9", told: "published tlv-bash bash-0:5-1.x86_64"},
		"made anew": {state: record.Active, previous: &view.Entry{List: record.List{Header: record.Digest{1}, Body: record.Digest{9}}}, kinds: "published",
			records: "lines/bash.x86_64 lists/tlv-bash", told: "published tlv-bash bash-0:5-1.x86_64"},
	} {
		s := begun()
		e := &view.Entry{List: record.List{Name: "tlv-bash", State: c.state, Package: parsed(t, "bash-5-1.x86_64"), Header: record.Digest{1}, Body: record.Digest{2}, Left: c.left}}
		s.Put(e)
		s.Settle(e, &Addition{Candidate: new(view.Candidate), Decision: c.decision, Previous: c.previous}, wire.Peer{UID: 5, PID: 7}, c.quiet)
		if got := kinds(s.Queue); got != c.kinds {
			t.Errorf("%s: the log has %q, want %q", name, got, c.kinds)
		}
		if got := names(t, s.Queue); got != c.records {
			t.Errorf("%s: recorded %q, want %q", name, got, c.records)
		}
		for _, ev := range s.Queue.Events {
			if ev.UID != 5 || ev.PID != 7 || ev.Counter != s.ByName["tlv-bash"].Counter {
				t.Errorf("%s: the log has %+v", name, ev)
			}
		}
		line := s.Lines[view.LineOf(e.Package)]
		if isActive := c.state == record.Active; isActive != (s.ByName["tlv-bash"].Counter == 1) || isActive != (line.High.Version == "5") || e.Counter != 0 {
			t.Errorf("%s: the list has counter %d, its line %+v", name, s.ByName["tlv-bash"].Counter, line)
		}
		if got := strings.Join(told(s, s.Queue), ", "); got != c.told {
			t.Errorf("%s: told %q, want %q", name, got, c.told)
		}
	}
}

// A list that goes for good raises what its line remembers; one that only stayed for what
// still runs does not, nor one that was withheld and never active.
func TestRetire(t *testing.T) {
	for name, c := range map[string]struct {
		change    func(*view.Entry)
		wasActive bool
		retired   string // by the line
		records   string
	}{
		"active":               {func(*view.Entry) {}, true, "0:5-1", "-lists/tlv-bash-5-1.x86_64 lines/bash.x86_64 retired/1"},
		"kept until a restart": {func(e *view.Entry) { e.Grace = "boot-1" }, true, "", "-lists/tlv-bash-5-1.x86_64 retired/1"},
		"suspended":            {func(e *view.Entry) { e.State = record.Withheld }, false, "0:5-1", "-lists/tlv-bash-5-1.x86_64 lines/bash.x86_64"},
		"never active":         {func(e *view.Entry) { e.State, e.Counter = record.Withheld, 0 }, false, "", "-lists/tlv-bash-5-1.x86_64"},
	} {
		s := begun()
		e := *active(t, s, "bash-5-1.x86_64", 1)
		c.change(&e)
		standing(s)
		s.Forget(e.Name)
		if got := s.Retire(&e, "removed", wire.Peer{UID: 5}); got != c.wasActive {
			t.Errorf("%s: was active: %v", name, got)
		}
		if got := s.Lines[view.LineOf(e.Package)].Retired.String(); got != c.retired {
			t.Errorf("%s: the line has retired %q, want %q", name, got, c.retired)
		}
		if got := names(t, s.Queue); got != c.records {
			t.Errorf("%s: recorded %q, want %q", name, got, c.records)
		}
		want := ""
		if c.wasActive {
			want = "withdrawn tlv-bash-5-1.x86_64 bash-0:5-1.x86_64 removed"
		}
		if got := strings.Join(told(s, s.Queue), ", "); got != want {
			t.Errorf("%s: told %q", name, got)
		}
	}
	// Another build of the same version has the name already.
	s := begun()
	old := active(t, s, "bash-5-1.x86_64", 1)
	standing(s)
	active(t, s, "bash-5-1.x86_64", 2)
	s.Queue = Records{}
	s.Retire(old, "replaced", wire.Peer{})
	var l record.List
	if err := json.Unmarshal([]byte(written(t, s.Queue)["lists/"+old.Name]), &l); err != nil || l.Header != (record.Digest{2, 1}) {
		t.Errorf("recorded is %+v, %v", l, err)
	}
}

// The reason is recorded before a list leaves, and the list is remembered so that it can
// return.
func TestSuspend(t *testing.T) {
	s := begun()
	s.Suspend(nil)
	if s.Plan.Intent != nil || s.Plan.Record {
		t.Error("nothing to suspend asks for something")
	}
	plain := active(t, s, "bash-5-1.x86_64", 1)
	grace := *active(t, s, "lib-1-1.x86_64", 2)
	grace.Grace = "boot-1"
	s.Put(&grace)
	coming := active(t, s, "new-1-1.x86_64", 3)
	s.Open[&Transaction{Added: map[record.Digest]*Addition{coming.Header: {}}}] = true
	s.Open[&Transaction{Added: map[record.Digest]*Addition{plain.Header: {Reused: true}}}] = true
	standing(s)
	s.Event(record.Event{Kind: "denied"}) // why
	denied := policy.Decision{Verdict: policy.WithholdList, Reason: policy.ReasonDenied, Text: "the owner said so", Denial: "d-1"}
	s.Suspend([]Suspension{{plain, denied}, {&grace, denied}, {coming, policy.Decision{Reason: policy.ReasonKeyRevoked}}})

	p := s.Plan
	if p.Intent == nil || kinds(*p.Intent) != "denied" || names(t, *p.Intent) != "meta/open" || !p.Record || !p.Synced {
		t.Errorf("before the lists leave is recorded %+v", p.Intent)
	}
	var leave []string
	for _, w := range p.Withdraw {
		leave = append(leave, w.Name)
	}
	if !slices.Equal(leave, []string{plain.Name, grace.Name, coming.Name}) || !slices.Equal(p.Sync, leave) || p.Withdraw[0].Entry != plain {
		t.Errorf("%q leave, %q are synced", leave, p.Sync)
	}
	w := s.ByName[plain.Name]
	if w.Active() || !w.Suspended() || w.Counter != plain.Counter || w.Text != denied.Text || !slices.Equal(w.Denied, []string{"d-1"}) || !w.File.IsZero() || w.Signer != "" || !plain.Active() {
		t.Errorf("withheld is %+v", w)
	}
	if s.ByName[grace.Name] != nil {
		t.Error("a list that was only kept is remembered")
	}
	if w := s.ByName[coming.Name]; w.Active() || w.Counter != 0 || w.Denied != nil {
		t.Errorf("what a transaction brings is %+v", w)
	}
	if got := names(t, s.Queue); got != "-lists/"+grace.Name+" lists/"+plain.Name+" retired/1 retired/2" {
		t.Errorf("recorded afterwards: %s", got)
	}
	if got := kinds(s.Queue); got != "withdrawn withdrawn" {
		t.Errorf("the log has %q", got)
	}
	// Nothing of a transaction that has not ended is recorded when it changes again.
	s.Queue = Records{}
	again := *s.ByName[coming.Name]
	s.Save(&again)
	if got := names(t, s.Queue); got != "" || s.ByName[coming.Name] != &again {
		t.Errorf("recorded of an open transaction: %q", got)
	}
}

// Lists that cannot be removed are remembered, tried again, and told of as one problem.
func TestLeftovers(t *testing.T) {
	s := begun()
	s.TellOfLeftovers()
	s.RetryLeftovers()
	if len(s.Problems) != 0 || s.Plan.Visible() {
		t.Error("nothing is left, and something is done")
	}
	s.Leave("tlv-b", errors.New("immutable"))
	s.Leave("tlv-a", errors.New("immutable"))
	s.Leave("tlv-a", errors.New("immutable"))
	if notes := s.Log.Take(); len(notes) != 2 || !s.Wake[WakeChores] {
		t.Errorf("logged: %+v", notes)
	}
	s.TellOfLeftovers()
	if p := s.Problems[0]; p.Text != "2 lists must be withdrawn and cannot be removed: tlv-a: immutable; the kernel still accepts the files in it" {
		t.Error(p.Text)
	}
	standing(s)
	s.Clock = noon.Add(time.Hour)
	s.Leave("tlv-a", errors.New("immutable"))
	if !s.Queue.Empty() {
		t.Error("the same is recorded again")
	}
	s.Leave("tlv-a", errors.New("read-only file system"))
	if l := s.Leftovers["tlv-a"]; l.Why != "read-only file system" || !l.Since.Equal(noon) || names(t, s.Queue) != "meta/leftover/tlv-a" {
		t.Errorf("left: %+v, recorded: %s", l, names(t, s.Queue))
	}
	s.Plan.Withdraw = []Withdrawal{{Name: "tlv-b"}}
	s.RetryLeftovers()
	if w := s.Plan.Withdraw; len(w) != 2 || w[1].Name != "tlv-a" {
		t.Errorf("tried again: %+v", w)
	}
	// One that is rightly there again need not go.
	s.Put(&view.Entry{List: record.List{Name: "tlv-b", State: record.Active}, Broken: true})
	if len(s.Leftovers) != 2 {
		t.Error("an altered file need not go")
	}
	s.Put(&view.Entry{List: record.List{Name: "tlv-b", State: record.Active}})
	s.NotLeft("tlv-a")
	s.NotLeft("tlv-a")
	if s.TellOfLeftovers(); len(s.Leftovers)+len(s.Problems) != 0 || names(t, s.Queue) != "-meta/leftover/tlv-a -meta/leftover/tlv-b" {
		t.Errorf("left: %v, recorded: %s", s.Leftovers, names(t, s.Queue))
	}
}

// Each sort of entries has its room in the log. Entries that the journal has not taken stay
// longer, but not for ever.
func TestLogRooms(t *testing.T) {
	for _, c := range []struct {
		kind       string
		most, wait int
		room       func(*LogRooms) []uint64
	}{
		{"published", MaxLog, MaxWaiting, func(l *LogRooms) []uint64 { return l.Decisions }},
		{"tampered", MaxTampering, maxTamperingWaiting, func(l *LogRooms) []uint64 { return l.Tampering }},
	} {
		s := begun()
		enter := func(n int) {
			s.Queue = Records{}
			for range n {
				s.Event(record.Event{Kind: c.kind})
			}
		}
		left := func() int { return len(c.room(&s.Kept)) }
		enter(c.most + 3)
		if left() != c.most || !slices.Equal(s.Queue.Drop, []uint64{1, 2, 3}) {
			t.Errorf("%s: %d are left, %v went", c.kind, left(), s.Queue.Drop)
		}
		s.Waits = true
		if enter(5); left() != c.most+5 || len(s.Queue.Drop) != 0 {
			t.Errorf("%s: while they wait %d are left", c.kind, left())
		}
		s.Taken[TakerJournal] = 5 // the fourth and the fifth may go
		if enter(1); left() != c.most+4 || !slices.Equal(s.Queue.Drop, []uint64{4, 5}) {
			t.Errorf("%s: when two were taken %d are left, %v went", c.kind, left(), s.Queue.Drop)
		}
		if enter(c.wait); left() != c.wait {
			t.Errorf("%s: the journal is away, and %d are left", c.kind, left())
		}
		if ev := s.Queue.Events[0]; ev.Seq == 0 || !ev.When.Equal(noon) || s.NextSeq != s.Queue.Events[len(s.Queue.Events)-1].Seq+1 {
			t.Errorf("%s: an entry is %+v", c.kind, ev)
		}
	}
}

// The position of the carriers is recorded with the next commit.
func TestTaken(t *testing.T) {
	s := begun()
	s.TakenUpTo(TakerJournal, 4, false)
	if !s.Queue.Empty() || s.Plan.Record {
		t.Error("recorded for its own sake")
	}
	empty := Records{}
	s.PutTaken(&empty)
	if !empty.Empty() || empty.taken {
		t.Error("nothing to record, and yet it is")
	}
	s.SetLine(record.Line{Name: "x"})
	r := s.Queue
	s.PutTaken(&r)
	if names(t, r) != "lines/x. pending/journal=4" {
		t.Errorf("recorded: %s", names(t, r))
	}
	s.Committed(&r)
	again := s.Queue
	if s.PutTaken(&again); names(t, again) != "lines/x." {
		t.Errorf("recorded again: %s", names(t, again))
	}
	s.Queue = Records{}
	s.TakenUpTo(TakerJournal, 4, true)
	if !s.Queue.Empty() {
		t.Error("what the index knows is recorded again")
	}
	s.TakenUpTo(TakerJournal, 5, true)
	if names(t, s.Queue) != "pending/journal=5" || !s.Plan.Record {
		t.Errorf("recorded now: %s", names(t, s.Queue))
	}
	s = begun()
	if err := s.Probe(); err != nil || names(t, s.Queue) != "-meta/probe" || !s.Plan.Record {
		t.Errorf("a probe records %s, %v", names(t, s.Queue), err)
	}
	// Those who carry the log are woken once for what is durable.
	s.Event(record.Event{})
	s.Written()
	woken := s.Wake[WakeLog]
	s.Wake = [WakeKinds]bool{}
	if s.Written(); !woken || s.Wake[WakeLog] {
		t.Errorf("woken: %v, again: %v", woken, s.Wake[WakeLog])
	}
}

// A flood of cases is told by the first and a sum; what is about our own lists is counted
// by itself.
func TestTampering(t *testing.T) {
	s := begun()
	active(t, s, "bash-5-1.x86_64", 1)
	s.Wake = [WakeKinds]bool{}
	if s.SumUp() {
		t.Error("something is left of nothing")
	}
	for i := range 3 * oursBurst {
		s.Tampered(fmt.Sprint("tlv-", i), record.Digest{}, "put there")
	}
	if n := len(s.Queue.Events); n != ForeignBurst || !s.Wake[WakeChores] {
		t.Errorf("%d of others are told", n)
	}
	for range 2 * oursBurst {
		s.Tampered("tlv-bash-5-1.x86_64", record.Digest{1}, "altered")
	}
	s.Tampered(s.ListDir, record.Digest{}, "replaced")
	if n := len(s.Queue.Events) - ForeignBurst; n != oursBurst {
		t.Errorf("%d of ours are told", n)
	}
	if !s.SumUp() || len(s.Queue.Events) != ForeignBurst+oursBurst {
		t.Error("summed up too early")
	}
	s.Clock = noon.Add(TamperPause)
	s.Queue = Records{}
	if s.SumUp() {
		t.Error("something is left after the sums")
	}
	var texts []string
	for _, e := range s.Queue.Events {
		texts = append(texts, e.Text)
	}
	want := []string{
		"257 more cases within 10s, from tlv-bash-5-1.x86_64 to /etc/digest_lists",
		"736 more cases within 10s, from tlv-32 to tlv-767",
	}
	if !slices.Equal(texts, want) {
		t.Errorf("summed up: %q", texts)
	}
	if all := told(s, s.Queue); len(all) != 2 {
		t.Errorf("told: %q", all)
	}
	s.Queue = Records{}
	s.Tampered("tlv-later", record.Digest{}, "put there") // one more after each pause
	s.Tampered("tlv-later-still", record.Digest{}, "put there")
	if len(s.Queue.Events) != 1 {
		t.Errorf("%d are told after a pause", len(s.Queue.Events))
	}
	s.Clock = noon.Add(-time.Hour) // set back
	if s.SumUp() {
		t.Error("a clock that was set back keeps the sum")
	}
	if s.Tampered("tlv-x", record.Digest{}, "put there"); len(s.Queue.Events) != 2 {
		t.Errorf("%d are told after the clock was set back", len(s.Queue.Events))
	}
	s.Clock = s.Clock.Add(TamperPause)
	if s.Tampered("tlv-y", record.Digest{}, "put there"); len(s.Queue.Events) != 3 {
		t.Errorf("%d are told a pause later", len(s.Queue.Events))
	}
}

// The quarantine keeps what came first, as far as it has room.
func TestQuarantine(t *testing.T) {
	s := begun()
	problem := func() string {
		for _, p := range s.Problems {
			if p.ID == "quarantine" {
				return p.Text
			}
		}
		return ""
	}
	aside := func(name string, size int64, err error) (drop bool) {
		s.Quarantine(&Seen{Expected: Expected{Name: name}, Size: size}, record.Digest{7}, "put there")
		r := s.Plan.Aside[0]
		s.Plan.Aside = nil
		if r.Name != name || r.Stamp != "20260101T120000Z" {
			t.Errorf("set aside is %+v", r)
		}
		r.Then(name+".aside", err)
		return r.Drop
	}
	if aside("tlv-a", MaxAsideBytes-1, nil) || aside("tlv-b", 1, nil) {
		t.Error("not kept, with room for it")
	}
	if !aside("tlv-c", 1, nil) {
		t.Error("kept without room for it")
	}
	want := "something other than digestd changed the list directory: 2 files in quarantine, which is full: 1 more were removed"
	if got := problem(); got != want || names(t, s.Queue) != "aside/tlv-a.aside aside/tlv-b.aside" {
		t.Errorf("told: %q; recorded: %s", got, names(t, s.Queue))
	}
	if ev := s.Queue.Events; kinds(s.Queue) != "tampered tampered tampered" || ev[0].Digest != (record.Digest{7}) || ev[2].Text != "put there; not kept, the quarantine is full" {
		t.Errorf("the log has %+v", ev)
	}
	if a := s.Asides[1]; a.List != "tlv-b" || a.Size != 1 || a.Reason != "put there" || !a.When.Equal(noon) {
		t.Errorf("kept is %+v", a)
	}
	standing(s)
	aside("tlv-d", 0, errors.New("read-only"))
	if len(s.Asides) != 2 || !s.Queue.Empty() || s.Problems[len(s.Problems)-1].ID != "directory" {
		t.Errorf("what stays in the directory is kept: %+v", s.Asides)
	}
	shared := s.Asides
	s.AsidesGone([]string{"tlv-a.aside"})
	if len(s.Asides) != 1 || shared[0].Name != "tlv-a.aside" || names(t, s.Queue) != "-aside/tlv-a.aside" {
		t.Errorf("left: %+v, recorded: %s", s.Asides, names(t, s.Queue))
	}
	s.AsidesGone([]string{"tlv-b.aside"})
	if problem() != "" {
		t.Errorf("still told: %s", problem())
	}
	// Files that a crash left there without a record are found, but not those of others.
	standing(s)
	s.AsidesFound([]record.Aside{{Name: "20251231T235959Z-tlv-e-1.noarch", Size: 3}, {Name: "notes"}, {Name: "20251231T235959Z-"}})
	if names(t, s.Queue) != "aside/20251231T235959Z-tlv-e-1.noarch" || kinds(s.Queue) != "tampered" || problem() == "" || !s.Plan.Record {
		t.Errorf("recorded: %s, the log has %s, told: %q", names(t, s.Queue), kinds(s.Queue), problem())
	}
	if a := s.Asides[0]; len(s.Asides) != 1 || a.List != "tlv-e-1.noarch" || a.Size != 3 || !a.When.Equal(noon.Add(-12*time.Hour-time.Second)) {
		t.Errorf("found: %+v", s.Asides)
	}
	s.AsidesGone([]string{s.Asides[0].Name})
	s.Plan.Record = false
	// Files of the same plan count too, and so does their number.
	for i := range maxAsides + 1 {
		s.Quarantine(&Seen{Expected: Expected{Name: fmt.Sprint(i)}}, record.Digest{}, "")
	}
	if a := s.Plan.Aside; a[maxAsides-1].Drop || !a[maxAsides].Drop {
		t.Error("the quarantine keeps another number than it may")
	}
}

// .blacklist names a certificate by its key identifier or the digest of what is signed.
func TestBlacklisted(t *testing.T) {
	body := []byte("to be signed")
	s256, s384, s512 := sha256.Sum256(body), sha512.Sum384(body), sha512.Sum512(body)
	for algorithm, wants := range map[x509.SignatureAlgorithm][]string{
		x509.SHA256WithRSA:   {hex.EncodeToString(s256[:])},
		x509.ECDSAWithSHA384: {hex.EncodeToString(s256[:]), hex.EncodeToString(s384[:])},
		x509.SHA512WithRSA:   {hex.EncodeToString(s256[:]), hex.EncodeToString(s512[:])},
	} {
		c := &x509.Certificate{RawTBSCertificate: body, SubjectKeyId: []byte{0xab}, SignatureAlgorithm: algorithm}
		entries := TbsEntries(c)
		for i, want := range wants {
			if len(entries) != len(wants) || entries[i] != view.TbsPrefix+want {
				t.Fatalf("%v: entries %q, want %q", algorithm, entries, wants)
			}
			if b := (Blacklisted{Entries: map[string]bool{"tbs:" + want: true}}); !b.Names(c) {
				t.Errorf("%v: not named by %s", algorithm, want)
			}
		}
		if b := (Blacklisted{KeyIDs: map[string]bool{"ab": true}}); !b.Names(c) {
			t.Errorf("%v: not named by its key", algorithm)
		}
		other := Blacklisted{Entries: map[string]bool{"bin:" + wants[0]: true}, KeyIDs: map[string]bool{"cd": true}}
		if other.Names(c) {
			t.Errorf("%v: named by %v", algorithm, slices.Collect(maps.Keys(other.Entries)))
		}
	}
}
