// SPDX-License-Identifier: Apache-2.0

package state

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store/record"
)

// remembered is all of a state that an event may change and an error takes back, as it
// is now.
func remembered(t *testing.T, s *State) map[string]any {
	t.Helper()
	lines := map[view.LineID][]string{}
	for id, all := range s.ByLine {
		for _, e := range all {
			lines[id] = append(lines[id], fmt.Sprintf("%p", e))
		}
		slices.Sort(lines[id])
	}
	return map[string]any{
		"lists": maps.Clone(s.ByName), "headers": maps.Clone(s.ByHeader), "lists of lines": lines, "sorted": slices.Clone(s.Sorted()),
		"retired": maps.Clone(s.Retired), "leftovers": maps.Clone(s.Leftovers), "asides": slices.Clone(s.Asides),
		"lines": maps.Clone(s.Lines), "floors": maps.Clone(s.Floors), "floors of": maps.Clone(s.FloorsOf), "advised": maps.Clone(s.Advised), "origins": maps.Clone(s.Origins), "keys": maps.Clone(s.Keys), "denied": maps.Clone(s.Denied), "others": maps.Clone(s.Others),
		"denials": fmt.Sprintf("%p", s.Denials), "own": maps.Clone(s.Own), "importers": maps.Clone(s.Importers), "order": s.Order, "prefetch": s.Prefetch,
		"mark": s.MetaMark, "unsettled": s.Unsettled, "anew": s.Anew, "signs files": s.SignsFiles, "blacklist": s.Blacklist, "banned": s.Banned,
		"certificates": slices.Clone(s.Certificates), "keyring": fmt.Sprintf("%p", s.Keyring), "keys read": s.KeysRead,
		"next entry": s.NextSeq, "log": LogRooms{slices.Clone(s.Kept.Decisions), slices.Clone(s.Kept.Tampering)},
		"records": names(t, s.Queue), "entries": kinds(s.Queue), "signals": len(s.Queue.tell),
	}
}

// A large event leaves nothing in memory of what it replaced, once the next begins.
func TestLargeUndoIsForgotten(t *testing.T) {
	s := begun()
	for range 2 {
		for i := range 1000 {
			s.Put(&view.Entry{List: record.List{Name: fmt.Sprintf("tlv-%d", i), State: record.Active}})
		}
	}
	if n := len(s.Undo.Entries); n != 2000 {
		t.Fatalf("%d entries would be taken back, want 2000", n)
	}
	s.Begin()
	if room := s.Undo.Entries[:cap(s.Undo.Entries)]; slices.ContainsFunc(room, func(old OldEntry) bool { return old.entry != nil }) {
		t.Errorf("an entry that was replaced stays among %d", len(room))
	}
	s.Put(&view.Entry{List: record.List{Name: "tlv-1", State: record.Active}})
	s.Begin()
	if room := s.Undo.Entries[:cap(s.Undo.Entries)]; slices.ContainsFunc(room, func(old OldEntry) bool { return old.entry != nil }) {
		t.Errorf("after a small event an entry stays in the room for %d", len(room))
	}
}

// stirred does to s whatever an event may do.
func stirred(t *testing.T, s *State) {
	first := s.ByName["tlv-bash-5-1.x86_64"]
	fresh := active(t, s, "new-1-1.x86_64", 9)
	s.FloorsOf = map[string][]policy.OriginFloor{"policy:base": {{Package: "bash", EVR: nevra.EVR{Version: "6"}, Origin: "policy:base"}}}
	s.Floors = policy.NewOriginFloors(s.FloorsOf["policy:base"])
	s.SetOrigin(&s.Queue.Batch, record.Origin{Name: "advisory:base"})
	s.SetAdvised(&s.Queue.Batch, "advisory:base", "bash", []record.AdvisedFloor{{Origin: "advisory:base", Name: "bash", EVR: nevra.EVR{Version: "6"}}})
	s.Forget(fresh.Name)
	active(t, s, "new-2-1.x86_64", 9)
	s.Suspend([]Suspension{{first, policy.Decision{Verdict: policy.WithholdList, Reason: policy.ReasonKeyRevoked}}})
	s.Forget(first.Name)
	again, anew := *first, *first
	s.Put(&again)
	s.Put(&anew) // which is undone once
	s.Retire(s.ByName["tlv-lib-1-1.x86_64"], "removed", (&Transaction{}).Peer)
	s.Unretire(record.Digest{77, 2})
	s.Unretire(first.Body)
	s.Leave("tlv-resists", errors.New("immutable"))
	s.Leave("tlv-stuck", errors.New("another cause"))
	s.NotLeft("tlv-stuck")
	s.Quarantine(&Seen{Expected: Expected{Name: "tlv-x"}}, record.Digest{}, "put there")
	s.Plan.Aside[0].Then("tlv-x.aside", nil)
	s.AsidesGone([]string{"old.aside"})
	s.SetKey(record.Key{Fingerprint: "bb"})
	s.Denied, s.Others, s.Denials = map[string]record.Denial{"d-1": {}}, map[string][]policy.Denial{"x": nil}, policy.NewDenials(nil, noon)
	s.Own, s.Importers, s.Order, s.Prefetch = map[string]record.Own{"x": {}}, map[string]bool{"x": true}, &view.Order{}, true
	s.Unsynced([]string{"tlv-lib-1-1.x86_64", "tlv-new-2-1.x86_64", "tlv-none"})
	s.Anew, s.SignsFiles, s.KeysRead = true, true, true
	s.Blacklist, s.Banned = Blacklisted{Known: true}, &view.Banned{}
	s.Certificates, s.Keyring = append(slices.Clone(s.Certificates), &x509.Certificate{}), pgp.NewKeyring()
	s.PutMark(&s.Queue, false)
	s.RecordTaken()
	s.Intend()
	s.SetLine(record.Line{Name: "late"})
}

// peopled is a state with something in each table, in the middle of an event that
// follows one whose records wait.
func peopled(t *testing.T) *State {
	s := begun()
	active(t, s, "bash-5-1.x86_64", 1)
	active(t, s, "lib-1-1.x86_64", 2)
	s.SetKey(record.Key{Fingerprint: "aa"})
	s.SetRetired(record.Retirement{Body: record.Digest{77, 2}, List: "tlv-gone"})
	s.Leave("tlv-stuck", errors.New("immutable"))
	s.Asides = []record.Aside{{Name: "old.aside", Size: 5}}
	s.Taken[TakerJournal] = 1
	standing(s)
	s.Event(record.Event{Kind: "granted"})
	s.After(func(o Observer) { o.Changed() })
	s.SetLine(record.Line{Name: "earlier"})
	s.Stand() // but not durable
	s.Begin()
	return s
}

func compare(t *testing.T, before, after map[string]any, except ...string) {
	t.Helper()
	for what := range before {
		if same := reflect.DeepEqual(before[what], after[what]); same == slices.Contains(except, what) {
			t.Errorf("%s: the same as before: %v\nbefore %+v\nafter  %+v", what, same, before[what], after[what])
		}
	}
}

// After an error neither memory nor what is recorded later has a trace of the event.
func TestRollbackLeavesNothing(t *testing.T) {
	s := peopled(t)
	shown := s.View()
	s.Stand()
	before := remembered(t, s)
	s.Begin()
	stirred(t, s)
	after := remembered(t, s)
	for what := range before {
		if reflect.DeepEqual(before[what], after[what]) && what != "mark" {
			t.Errorf("the event did nothing to %s", what)
		}
	}
	s.Rollback()
	compare(t, before, remembered(t, s))
	if s.Plan.Visible() || s.Plan.Intent != nil || s.Plan.Record {
		t.Errorf("the plan still asks for %+v", s.Plan)
	}
	if v := s.View(); !reflect.DeepEqual(v.Entries, shown.Entries) || !reflect.DeepEqual(v.Lines, shown.Lines) || !reflect.DeepEqual(v.Keys, shown.Keys) {
		t.Error("readers see another state")
	}

	// The same event does its work afterwards, as if for the first time.
	s.Begin()
	stirred(t, s)
	compare(t, after, remembered(t, s), "lists", "headers", "lists of lines", "sorted", "keyring", "denials", "lines") // with other pointers, and counters never fall
}

// Records of earlier events come before those of this one.
func TestStandKeepsTheOrder(t *testing.T) {
	s := peopled(t)
	s.Event(record.Event{Kind: "floor-set"})
	s.SetLine(record.Line{Name: "later"})
	s.After(func(o Observer) { o.Changed() })
	s.Stand()
	if kinds(s.Queue) != "granted floor-set" || names(t, s.Queue) != "lines/earlier. lines/later." || s.Queue.Events[1].Seq != s.Queue.Events[0].Seq+1 {
		t.Errorf("recorded: %s, %s", kinds(s.Queue), names(t, s.Queue))
	}
	if all := told(s, s.Queue); len(all) != 2 {
		t.Errorf("told: %q", all)
	}
	if s.TellAll(); len(s.Due) != 0 {
		t.Error("signals are told twice")
	}
}

// A copy of records is not changed by what the original is joined with.
func TestJoinLeavesCopies(t *testing.T) {
	var a, b, c Records
	if !a.Empty() {
		t.Error("nothing is something")
	}
	add := func(r *Records, name string, mark *bool) {
		r.Batch.PutLine(record.Line{Name: name})
		r.Events = append(r.Events, record.Event{Kind: name})
		r.Drop = append(r.Drop, uint64(len(name)))
		r.tell = append(r.tell, nil)
		r.mark = mark
	}
	yes, no := true, false
	add(&a, "a", &yes)
	add(&b, "bb", nil)
	add(&c, "ccc", &no)
	a.Events, a.Drop, a.tell = slices.Grow(a.Events, 2), slices.Grow(a.Drop, 2), slices.Grow(a.tell, 2) // to be shared by mistake
	was := a
	other := a
	a.Join(b)
	other.Join(c)
	if names(t, was) != "lines/a." || names(t, a) != "lines/a. lines/bb." || names(t, other) != "lines/a. lines/ccc." {
		t.Errorf("records are %s; %s; %s", names(t, was), names(t, a), names(t, other))
	}
	if kinds(was) != "a" || kinds(a) != "a bb" || kinds(other) != "a ccc" || !slices.Equal(a.Drop, []uint64{1, 2}) || !slices.Equal(other.Drop, []uint64{1, 3}) {
		t.Errorf("entries are %s; %s; %s", kinds(was), kinds(a), kinds(other))
	}
	if !*a.mark || *other.mark {
		t.Error("the mark is not what was said last")
	}
	if (&Records{Events: []record.Event{{}}}).Empty() {
		t.Error("an entry of the log is nothing")
	}
}

// A plan that was carried out leaves nothing to the next that gets its memory.
func TestReuse(t *testing.T) {
	s := begun()
	s.MetaMark = OpenMark{Queued: true, Durable: true}
	ask := func(lists int) *Plan {
		for range lists {
			s.Plan.Publish = append(s.Plan.Publish, Publication{Name: "tlv-x"})
			s.Sync("tlv-x")
		}
		s.Intend()
		s.Record()
		s.Plan.Poke, s.Plan.Show, s.Plan.Unknown = true, true, true
		return s.Seal()
	}
	for _, lists := range []int{1, 3, 1} {
		p := ask(lists)
		kept := p.Publish
		if s.Reuse(p); kept[0].Name != "" {
			t.Error("a publication is kept alive")
		}
		if s.Seal() == p || s.Plan != p {
			t.Error("the plan is not that of the next event")
		}
		if len(p.Publish) > 0 || p.Intent != nil || p.Sync != nil || p.Synced || p.Record || p.Poke || p.Show || p.Visible() {
			t.Errorf("it has %+v", p)
		}
		s.Rollback()
	}
}

// Lists appear only after the mark is durable, or queued with the intent of the plan.
func TestMark(t *testing.T) {
	publish := func(s *State, recorded bool) *Plan {
		s.Plan.Publish = append(s.Plan.Publish, Publication{Name: "tlv-x", Recorded: recorded})
		return s.Seal()
	}
	s := begun()
	if p := publish(s, true); p.Intent != nil || s.MetaMark.Queued {
		t.Error("a list that is recorded needs no mark")
	}
	if s.Plan.Visible() {
		t.Error("a sealed plan is still the plan of the event")
	}
	p := publish(s, false)
	if p.Intent == nil || written(t, *p.Intent)["meta/"+MetaOpen] != "boot-1" || names(t, s.Queue) != "" || s.MetaMark != (OpenMark{Queued: true}) {
		t.Errorf("the intent is %+v, the mark %+v", p.Intent, s.MetaMark)
	}
	s.Committed(p.Intent)
	if s.MetaMark != (OpenMark{Queued: true, Durable: true}) {
		t.Errorf("the mark is %+v after its commit", s.MetaMark)
	}
	if p := publish(s, false); p.Intent != nil {
		t.Error("a mark that is durable is written again")
	}
	if s.SetMark(); names(t, s.Queue) != "" {
		t.Error("a mark that is durable is queued again")
	}
	// Its removal waits when more lists come.
	s.PutMark(&s.Queue, false)
	if names(t, s.Queue) != "-meta/"+MetaOpen {
		t.Errorf("queued: %s", names(t, s.Queue))
	}
	if p := publish(s, false); p.Intent != nil || names(t, s.Queue) != "meta/"+MetaOpen || !s.MetaMark.Queued {
		t.Errorf("the removal is still queued: %s", names(t, s.Queue))
	}
	s.PutMark(&s.Queue, false)
	queue := s.Queue
	if s.Committed(&queue); s.MetaMark.Durable {
		t.Error("a mark that was removed is durable")
	}
}

// Lists that may not be on the disk are recorded as such until they are made anew.
func TestUnsynced(t *testing.T) {
	s := begun()
	e := active(t, s, "bash-5-1.x86_64", 1)
	withheld := *active(t, s, "lib-1-1.x86_64", 2)
	withheld.State = record.Withheld
	s.Put(&withheld)
	moving := *active(t, s, "app-1-1.x86_64", 3)
	moving.Change = record.Moving
	s.Put(&moving)
	standing(s)
	s.Unsynced([]string{e.Name, withheld.Name, moving.Name, "tlv-none"})
	if got := names(t, s.Queue); got != "lists/"+e.Name+" meta/open" || !s.Unsettled || s.ByName[e.Name].Change != record.Publishing {
		t.Errorf("recorded: %s; %+v", got, s.ByName[e.Name])
	}
	if e.Change != "" {
		t.Error("an entry that readers share was changed")
	}
}

// The packages of a transaction are found by its elements.
func TestTransaction(t *testing.T) {
	s := begun()
	e := active(t, s, "bash-5-1.x86_64", 1)
	newer := e.Package
	newer.EVR = nevra.EVR{Version: "6", Release: "1"}
	tr := &Transaction{Added: map[record.Digest]*Addition{}, ByIndex: map[uint32]*Addition{}}
	add := func(pkg nevra.NEVRA, header byte) *Addition {
		a := &Addition{Candidate: &view.Candidate{Pkg: pkg, Header: record.Digest{header}}}
		tr.Added[a.Header], tr.ByIndex[uint32(header)] = a, a
		return a
	}
	a := add(e.Package, 1)
	if tr.Replaces(e) {
		t.Error("the same version again is no other")
	}
	add(newer, 2)
	if !tr.Replaces(e) {
		t.Error("a newer version replaces none")
	}
	s.Installed(tr, 1)
	s.Installed(tr, 99)
	if !a.Installed || tr.ByIndex[2].Installed {
		t.Error("another element is installed than was said")
	}
	tr.Peer.UID, tr.Peer.PID = 5, 7
	s.Refused(tr, newer, policy.Decision{Reason: policy.ReasonRollback, Text: "a higher one was active"})
	s.Refused(tr, newer, policy.Decision{Reason: policy.ReasonUnsigned})
	if ev := s.Queue.Events; kinds(s.Queue) != "rollback-refused refused" || ev[0].UID != 5 || ev[0].PID != 7 || ev[0].Text == "" || ev[1].Reason != "unsigned" {
		t.Errorf("recorded: %+v", ev)
	}
	if all := told(s, s.Queue); !slices.Equal(all, []string{"refused bash-0:6-1.x86_64 rollback"}) {
		t.Errorf("told: %q", all)
	}
}
