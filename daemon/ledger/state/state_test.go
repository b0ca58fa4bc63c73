// SPDX-License-Identifier: Apache-2.0

package state

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// begun is an empty state in the middle of an event.
func begun() *State {
	s := NewState(Settings{Mode: policy.Enforce, ListDir: "/etc/digest_lists", StateDir: "/var/lib/digestd", Boot: "boot-1"}, noon)
	s.Begin()
	return s
}

// parsed is a package by its name.
func parsed(t *testing.T, text string) nevra.NEVRA {
	t.Helper()
	n, err := nevra.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// active enters the list of a package as it is after its activation. Its digests begin
// with number.
func active(t *testing.T, s *State, pkg string, number byte) *view.Entry {
	t.Helper()
	n := parsed(t, pkg)
	id := view.LineOf(n)
	e := &view.Entry{List: record.List{Name: "tlv-" + pkg, State: record.Active, Package: n, Counter: s.NextCounter(),
		Header: record.Digest{number, 1}, Body: record.Digest{number, 2}, File: record.Digest{number, 3}, Signer: "us", Since: noon}}
	s.SaveLine(id, s.PolicyLine(id).Activate(n.EVR, e.Counter))
	s.Put(e)
	return e
}

// standing ends the preparation of a state: what is in it counts as recorded.
func standing(s *State) *State {
	s.Stand()
	s.Queue = Records{}
	s.Begin()
	return s
}

// written are the records of r by bucket and key, with their content; "" for one that is
// deleted. Records with a digest as their key are named by its first byte.
func written(t *testing.T, r Records) map[string]string {
	t.Helper()
	batch := r.Batch
	batch.Append(record.Batch{}) // a copy that may be sorted
	records, _, err := batch.Records()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, x := range records {
		bucket, key := record.Buckets[x.Bucket], string(x.Key)
		switch bucket {
		case record.BucketRetired:
			key = fmt.Sprint(x.Key[0])
		case record.BucketLines:
			key = strings.ReplaceAll(key, "\x00", ".")
		case record.BucketPending:
			key = fmt.Sprint(key, "=", binary.BigEndian.Uint64(x.Value))
		}
		found[bucket+"/"+key] = string(x.Value)
	}
	return found
}

// names lists what written found, "-" before what is deleted.
func names(t *testing.T, r Records) string {
	t.Helper()
	var all []string
	for name, value := range written(t, r) {
		if value == "" {
			name = "-" + name
		}
		all = append(all, name)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// kinds lists the entries of the log that r has.
func kinds(r Records) string {
	var all []string
	for _, e := range r.Events {
		all = append(all, e.Kind)
	}
	return strings.Join(all, " ")
}

// heard is an observer that notes what it hears.
type heard struct{ all []string }

func (h *heard) note(args ...any)                  { h.all = append(h.all, strings.TrimSpace(fmt.Sprintln(args...))) }
func (h *heard) ListPublished(list, pkg string)    { h.note("published", list, pkg) }
func (h *heard) ListWithdrawn(list, pkg, r string) { h.note("withdrawn", list, pkg, r) }
func (h *heard) RollbackRefused(pkg, r string)     { h.note("refused", pkg, r) }
func (h *heard) TamperDetected(name, r string)     { h.note("tampered", name, r) }
func (h *heard) TransactionFinished(p, w uint32)   { h.note("finished", p, w) }
func (h *heard) KeyRevoked(f, r string, n uint32)  { h.note("revoked", f, r, n) }
func (h *heard) Changed()                          { h.note("changed") }
func (h *heard) Denied(id, what, r string)         { h.note("denied", id, what, r) }
func (h *heard) DenialLifted(id, what, r string)   { h.note("lifted", id, what, r) }

// told is what an observer hears of r once r is durable.
func told(s *State, r Records) []string {
	h := &heard{}
	s.Observer = h
	s.Committed(&r)
	s.TellAll()
	return h.all
}

// Readers see lists sorted by name, in whichever order they come and go, and a view that they
// have does not change.
func TestSortedLists(t *testing.T) {
	s := begun()
	enter := func(name string) {
		s.Put(&view.Entry{List: record.List{Name: name, State: record.Active, Header: record.Digest{1}}})
	}
	seen := func() (all []string) {
		for _, e := range s.Sorted() {
			all = append(all, e.Name)
		}
		return all
	}
	for i := range 50 { // more than are inserted one by one
		enter(fmt.Sprintf("tlv-%02d", 49-i))
	}
	before := s.Sorted()
	if all := seen(); len(all) != 50 || !slices.IsSorted(all) {
		t.Errorf("of 50 lists readers see %q", all)
	}
	enter("tlv-00a")
	enter("tlv-07") // another one of that name
	s.Forget("tlv-08")
	s.Forget("tlv-08") // nothing more of it
	enter("tlv-zz")
	s.Forget("tlv-zz")
	all := seen()
	if len(all) != 50 || !slices.IsSorted(all) || !slices.Contains(all, "tlv-00a") || slices.Contains(all, "tlv-08") || slices.Contains(all, "tlv-zz") {
		t.Errorf("after changes readers see %q", all)
	}
	if i := slices.Index(all, "tlv-07"); s.Sorted()[i] != s.ByName["tlv-07"] {
		t.Error("readers see a list that was replaced")
	}
	if before[8].Name != "tlv-08" || len(before) != 50 {
		t.Error("what readers had has changed")
	}
	if again := s.Sorted(); &again[0] != &s.Sorted()[0] {
		t.Error("a new slice without a change")
	}
}

// A list is found by its header and its line as long as it is there.
func TestListTables(t *testing.T) {
	s := begun()
	e := active(t, s, "bash-5-1.x86_64", 1)
	if s.ByHeader[e.Header] != e || len(s.ByLine[view.LineOf(e.Package)]) != 1 {
		t.Error("the list is not found")
	}
	moving := *e
	moving.Name, moving.Change = "tlv-1-bash", record.Moving
	moving.Package.Arch = "noarch"
	s.Put(&moving)
	if s.ByHeader[e.Header] != e {
		t.Error("a list on its way to another name is found by its header")
	}
	s.Forget(moving.Name)
	s.Forget(e.Name)
	if len(s.ByName)+len(s.ByHeader)+len(s.ByLine) != 0 {
		t.Errorf("forgotten lists leave %v, %v, %v", s.ByName, s.ByHeader, s.ByLine)
	}
	for name, at := range map[string]view.Entry{
		"counts later": {List: record.List{From: noon}},
		"ends":         {List: record.List{Signature: &record.Signature{Ends: noon}}},
		"":             {List: record.List{Signature: &record.Signature{}}},
	} {
		s.Wake[WakeClock] = false
		s.Put(&at)
		if s.Wake[WakeClock] != (name != "") {
			t.Errorf("a list that %s: the clock is woken: %v", name, s.Wake[WakeClock])
		}
	}
}

// Readers see a view that later events leave alone.
func TestViewIsNotChanged(t *testing.T) {
	s := begun()
	active(t, s, "bash-5-1.x86_64", 1)
	s.SetKey(record.Key{Fingerprint: "aa"})
	s.Problem("index", api.SeverityError, "full", "free space")
	s.Open[&Transaction{}] = true
	s.Wake = [WakeKinds]bool{}
	v := s.View()
	if !s.Wake[WakeLists] {
		t.Error("a change of lists wakes nobody")
	}
	if len(v.Entries) != 1 || v.Counter != 1 || v.Open != 1 || len(v.Problems) != 1 || v.LastEvent != s.ToldSeq-1 || v.Mode != policy.Enforce {
		t.Errorf("readers see %+v", v)
	}
	s.Begin()
	s.Wake = [WakeKinds]bool{}
	if s.View().Lookup != v.Lookup || s.Wake[WakeLists] {
		t.Error("a view of the same lists is another")
	}
	active(t, s, "bash-6-1.x86_64", 2)
	s.SetKey(record.Key{Fingerprint: "aa", Owner: "changed"})
	s.Solved("index")
	id := view.LineID{Name: "bash", Arch: "x86_64"}
	if len(v.Entries) != 1 || v.Lines[id].High.Version != "5" || v.Keys["aa"].Owner != "" || len(v.Problems) != 1 {
		t.Error("a view has changed after it was given out")
	}
	if next := s.View(); len(next.Entries) != 2 || next.Lines[id].High.Version != "6" || next.Keys["aa"].Owner != "changed" || len(next.Problems) != 0 {
		t.Error("the next view is as the last")
	}
}

// A problem that lasts keeps its beginning and is logged once.
func TestProblems(t *testing.T) {
	s := begun()
	s.Problem("index", api.SeverityError, "full", "free space")
	s.Problem("other", api.SeverityNotice, "something", "")
	s.Clock = noon.Add(time.Hour)
	s.Problem("index", api.SeverityError, "still full", "free space")
	if p := s.Problems[0]; len(s.Problems) != 2 || p.Text != "still full" || !p.Since.Equal(noon) {
		t.Errorf("the problem is %+v of %d", p, len(s.Problems))
	}
	if notes := s.Log.Take(); len(notes) != 2 || notes[0].Level != 4 {
		t.Errorf("logged: %+v", notes)
	}
	s.Solved("index")
	s.Solved("index")
	if len(s.Problems) != 1 || s.Problems[0].ID != "other" {
		t.Errorf("left: %+v", s.Problems)
	}
	s.Log.Info("a")
	s.Log.Error("b", "key", 1)
	if notes := s.Log.Take(); len(notes) != 2 || notes[0].Level != 0 || notes[1].Level != 8 || len(notes[1].Args) != 2 {
		t.Errorf("logged: %+v", notes)
	}
	if len(s.Log.Take()) != 0 {
		t.Error("what was taken is still there")
	}
}

// Grants that policy used up, and a floor that is cleared, leave the record of the line.
func TestSaveLine(t *testing.T) {
	s := begun()
	id := view.LineID{Name: "bash", Arch: "x86_64"}
	one, two := nevra.EVR{Version: "1", Release: "1"}, nevra.EVR{Version: "2", Release: "1"}
	s.SetLine(record.Line{Name: "bash", Arch: "x86_64", High: two, Floor: one, FloorBy: &record.Act{Reason: "why"},
		Grants: []record.Grant{{EVR: one}, {EVR: two}}})
	p := s.PolicyLine(id)
	if len(p.Grants) != 2 || p.Floor != one || p.High != two {
		t.Errorf("policy sees %+v", p)
	}
	p.Grants, p.Floor, p.Counter = p.Grants[:1], nevra.EVR{}, 9
	s.SaveLine(id, p)
	if l := s.Lines[id]; len(l.Grants) != 1 || l.Grants[0].EVR != one || l.FloorBy != nil || l.Counter != 9 {
		t.Errorf("the line is %+v", l)
	}
	var l record.Line
	if err := json.Unmarshal([]byte(written(t, s.Queue)["lines/bash.x86_64"]), &l); err != nil || len(l.Grants) != 1 || !l.Floor.IsZero() {
		t.Errorf("recorded is %+v, %v", l, err)
	}
	s.Multi = []string{"kernel*"}
	if !s.PolicyLine(view.LineID{Name: "kernel-core", Arch: "x86_64"}).Multi || s.PolicyLine(id).Multi {
		t.Error("what may be there in several versions is not what the settings say")
	}
	// A header that says so itself counts for its package.
	old := parsed(t, "bash-1-0.x86_64")
	active(t, s, "bash-2-1.x86_64", 1)
	if got := s.Admit(old, false); got.Verdict != policy.Veto {
		t.Errorf("a version below the highest: %+v", got)
	}
	if got := s.Admit(old, true); got.Verdict != policy.Allow {
		t.Errorf("a version beside newer ones: %+v", got)
	}
}

// An argument names lines as people mean them.
func TestLinesNamed(t *testing.T) {
	s := begun()
	for _, id := range []view.LineID{{Name: "lib", Arch: "x86_64"}, {Name: "lib", Arch: "i686"}, {Name: "python3.11", Arch: "noarch"}, AnyArch("floored")} {
		s.SetLine(record.Line{Name: id.Name, Arch: id.Arch})
	}
	for text, want := range map[string]string{
		"lib":               "lib lib.i686 lib.x86_64",
		"lib.i686":          "lib.i686",
		"lib.aarch64":       "lib.aarch64",
		"python3.11":        "python3.11 python3.11.noarch",
		"python3.11.noarch": "python3.11.noarch",
		"new.x86_64":        "new.x86_64",
		"new":               "not known",
		"new.":              "not known",
		".x86_64":           "not known",
		"new.elbrus99":      "not known",
		"new name.x86_64":   "not known",
		"floored":           "not known",
		"":                  "not known",
	} {
		ids, err := s.LinesNamed(text)
		var all []string
		for _, id := range ids {
			all = append(all, id.String())
		}
		slices.Sort(all)
		got := strings.Join(all, " ")
		var refused *api.Error
		if errors.As(err, &refused) && refused.Code == api.NotFound {
			got = "not known"
		}
		if got != want {
			t.Errorf("%q: %q (%v), want %q", text, got, err, want)
		}
	}
}

// A package is named by its header where nothing more is known of it.
func TestInstalledPackage(t *testing.T) {
	named := InstalledPackage{Number: 3, Pkg: nevra.NEVRA{Name: "bash"}}
	if got := named.String(); got != "bash (header 3 of rpm's database)" {
		t.Error(got)
	}
	if got := (&InstalledPackage{Pkg: parsed(t, "bash-5-1.x86_64")}).String(); got != "bash-5-1.x86_64" {
		t.Error(got)
	}
}

// Files whose labels are left are bounded, and one that is left once more is not
// forgotten by what was begun before.
func TestLabelsLeft(t *testing.T) {
	l := &begun().Labels
	l.Add("/a", "one")
	before := l.Files["/a"]
	l.Add("/a", "two")
	if l.Done("/a", before); len(l.Files) != 1 || l.Files["/a"].Why != "two" || l.size != 2 {
		t.Errorf("left: %+v", l)
	}
	if l.Done("/a", l.Files["/a"]); len(l.Files) != 0 || l.size != 0 {
		t.Errorf("left: %+v", l)
	}
	for i := range MaxLeftLabels {
		l.Add(fmt.Sprint(i), "")
	}
	if l.All {
		t.Error("too many too early")
	}
	if l.Add("/more", ""); !l.All || len(l.Files) != MaxLeftLabels {
		t.Errorf("%d are kept, all: %v", len(l.Files), l.All)
	}
	long := &begun().Labels
	long.Add(strings.Repeat("x", maxLeftLabelSize), "")
	if long.Add("/a", ""); !long.All || len(long.Files) != 1 {
		t.Errorf("%d are kept, all: %v", len(long.Files), long.All)
	}
}

// The errors that keep the daemon from recording are reported, and so is their end.
func TestHealth(t *testing.T) {
	s := begun()
	problem := func(id string) string {
		for _, p := range s.Problems {
			if p.ID == id {
				return p.Text
			}
		}
		return ""
	}
	s.IndexFailed(errors.New("no space"), false)
	if problem("index") != "no space" || !s.Unwritten || !s.Wake[WakeChores] {
		t.Errorf("after a failed commit: %+v", s.Health)
	}
	s.Wake = [WakeKinds]bool{}
	s.IndexFailed(errors.New("moved"), true)
	if problem("state") != "moved; digestd cannot record decisions" || !s.Wake[WakeChores] {
		t.Errorf("with another state directory: %+v", s.Health)
	}
	s.Committed(&Records{})
	s.Written()
	if problem("state")+problem("index") != "" || s.Unwritten {
		t.Errorf("after a commit: %+v", s.Health)
	}
	s.TellOfRestored(false)
	if len(s.Problems) != 0 {
		t.Error("nothing was restored")
	}
	s.TellOfRestored(true)
	if problem("state-replaced") == "" {
		t.Error("a replaced state directory is not told of")
	}

	s.PrefetchKept(errors.New("no attributes")) // nobody asked for it
	if problem("prefetch") != "" {
		t.Error("a problem with what is off")
	}
	s.Prefetch = true
	s.PrefetchKept(errors.New("no attributes"))
	if problem("prefetch") != "no attributes" {
		t.Error("no problem with what is on")
	}
	s.PrefetchKept(nil)
	if problem("prefetch") != "" {
		t.Error("the problem stays")
	}

	s.PathChecked(nil)
	if len(s.Queue.Events) != 0 {
		t.Error("nobody touched the directory")
	}
	s.PathChecked(errors.New("the directory is another"))
	if problem("directory") == "" || kinds(s.Queue) != "tampered" {
		t.Errorf("a replaced list directory: %+v, %s", s.Problems, kinds(s.Queue))
	}
}
