// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/store/record"
)

// A start finds in the index what the last run knew.
func TestLoad(t *testing.T) {
	var batch record.Batch
	batch.PutLeftover(record.Leftover{Name: "tlv-left", Why: "immutable"})
	batch.PutLeftover(record.Leftover{Name: hello1, Why: "immutable"})
	meta := map[string][]byte{state.MetaOpen: []byte("boot"), MetaSigned: {1}, metaOrder: []byte(`{"tlv-hello-0:1-1.noarch":3}`),
		state.MetaLabels: []byte(`{"paths":["L2Jpbi9h"]}`)}
	records, _, err := batch.Records()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		meta[string(r.Key)] = r.Value
	}
	pkg := parse(t, "hello-1-1.noarch")
	own := record.Own{Name: "app", List: "tlv-own-app", Version: 2, Last: 2}
	w := &world{Ledger: New(state.Settings{}, start), t: t}
	if err := w.Load(Content{Counter: 5, Content: record.Content{NextSeq: 9, Meta: meta, Taken: map[string]uint64{state.TakerJournal: 4},
		Lists: []record.List{{Name: hello1, State: record.Active, Package: pkg, Header: sum("h")}, {Name: "tlv-own-app", State: record.Active, Own: "app", Version: 2}},
		Lines: []record.Line{{Name: "hello", Arch: "noarch", High: pkg.EVR, Counter: 5}}, Own: []record.Own{own},
		Keys: []record.Key{{Fingerprint: "aa"}}, Denials: []record.Denial{{ID: "d1", Package: "bad"}, {ID: "d2", Exact: "nonsense"}}, Asides: []record.Aside{{Name: "x"}},
		Retired: map[record.Digest]record.Retirement{sum("old"): {Body: sum("old"), Own: "app", Version: 1}}}}); err != nil {
		t.Fatal(err)
	}
	if w.Counter != 5 || w.NextSeq != 9 || w.ToldSeq != 9 || w.Taken[state.TakerJournal] != 4 || w.TakenKept[state.TakerJournal] != 4 {
		t.Errorf("the numbers are %d, %d, %d, %v", w.Counter, w.NextSeq, w.ToldSeq, w.Taken)
	}
	if !w.Unsettled || !w.MetaMark.Durable || !w.SignsFiles || len(w.Asides) != 1 || w.Order == nil {
		t.Error("what was under way is forgotten")
	}
	if w.entry(hello1) != w.ByHeader[sum("h")] || w.OwnEntry("app").Package != OwnPackage("app", 2) || w.Retired[sum("old")].Package != OwnPackage("app", 1) {
		t.Errorf("the lists are %v", w.ByName)
	}
	if got := w.AdmitIn(nil, parse(t, "bad-1-1.noarch"), false); got.Denial != "d1" {
		t.Errorf("what is denied is %+v", got)
	}
	if l, known := w.Leftovers["tlv-left"]; !known || l.Why != "immutable" || len(w.Leftovers) != 1 {
		t.Errorf("there must go %v", w.Leftovers)
	}
	for _, id := range []string{"leftover", "labels", "denials"} {
		if w.problem(id) == "" {
			t.Errorf("there is no problem %s", id)
		}
	}
	if !w.Wake[state.WakeChores] || !w.Wake[state.WakeLabels] {
		t.Error("nobody is woken")
	}
}

func TestLoadFails(t *testing.T) {
	for _, name := range []string{metaOrder, state.MetaLabels} {
		s := New(state.Settings{}, start)
		if err := s.Load(Content{Content: record.Content{Meta: map[string][]byte{name: []byte("{")}}}); err == nil {
			t.Errorf("%s cannot be read, and there is no error", name)
		}
	}
}

func TestRecovered(t *testing.T) {
	for _, rebuilt := range []bool{false, true} {
		w := newWorld(t)
		w.must(func() error { w.Recovered("the index was lost", rebuilt); return nil })
		w.want("recovered", "record\nindex-recovered index")
		if w.Unsettled != rebuilt || (w.problem(grounds.ProblemIndexLost) != "") != rebuilt {
			t.Errorf("rebuilt: %v, unsettled: %v, problem %q", rebuilt, w.Unsettled, w.problem(grounds.ProblemIndexLost))
		}
	}
}

// The files whose labels are left are recorded in order, and told of until there is none.
func TestSaveLabels(t *testing.T) {
	w := newWorld(t)
	w.Labels.Add("/bin/b\n", "cannot label: it is immutable")
	w.Labels.Add("/bin/c", "later")
	w.must(func() error { w.SaveLabels(); return nil })
	if got := w.problem("labels"); got != `cannot write the label of 2 files, which the kernel needs to find its list; the first is "/bin/b\n": it is immutable` {
		t.Errorf("the problem is %q", got)
	}
	again := New(state.Settings{}, start)
	if err := again.loadLabels(map[string][]byte{state.MetaLabels: []byte(w.index["meta labels"])}); err != nil {
		t.Fatal(err)
	}
	if len(again.Labels.Files) != 2 || again.Labels.Files["/bin/b\n"].Why == "" || again.Labels.All {
		t.Errorf("a start finds %+v", again.Labels.Files)
	}
	w.Labels.All = true
	w.must(func() error { w.SaveLabels(); return nil })
	if got := w.problem("labels"); !strings.HasPrefix(got, "cannot write the label of more than 2 files, ") {
		t.Errorf("the problem is %q", got)
	}
	w.Labels.All = false
	for path, l := range w.Labels.Files {
		w.Labels.Done(path, l)
	}
	w.must(func() error { w.SaveLabels(); return nil })
	if w.problem("labels") != "" || len(w.keys("meta")) > 0 {
		t.Errorf("%q, %v", w.problem("labels"), w.keys("meta"))
	}
}

// Until a list is gone it must be held.
func TestHeld(t *testing.T) {
	w := newWorld(t)
	for _, text := range []string{"hello-1-1.noarch", "moving-1-1.noarch", "withheld-1-1.noarch"} {
		w.install(text, "")
	}
	w.must(func() error {
		for name, change := range map[string]record.Change{"tlv-moving-0:1-1.noarch": record.Moving, "tlv-withheld-0:1-1.noarch": ""} {
			e := *w.entry(name)
			e.State, e.Change = record.Withheld, change
			w.Put(&e)
		}
		w.Leave("tlv-left", errDisk)
		return nil
	})
	if got := w.ToHold(); !slices.Equal(got, []string{hello1, "tlv-moving-0:1-1.noarch", "tlv-left"}) {
		t.Errorf("there must be held %v", got)
	}
	w.Wake = [state.WakeKinds]bool{}
	w.Held([]string{hello1}, errors.New("too many files"))
	if !w.Labels.Stale[hello1] || !w.Wake[state.WakeLabels] || !strings.HasPrefix(w.problem("held"), "too many files; ") {
		t.Errorf("%v, %q", w.Labels.Stale, w.problem("held"))
	}
	w.Wake = [state.WakeKinds]bool{}
	w.Held(nil, nil)
	if w.problem("held") != "" || w.Wake[state.WakeLabels] {
		t.Error("what is held is a problem still")
	}
}

// A grant that was used or waits lets a version below a floor be, one above does not.
func TestGrantedBelow(t *testing.T) {
	line := view.LineID{Name: "hello", Arch: "noarch"}
	evr := func(version string) nevra.EVR { return nevra.EVR{Version: version, Release: "1"} }
	for _, used := range []bool{false, true} {
		w := newWorld(t)
		if used {
			w.install("hello-1-1.noarch", "")
			e := *w.entry(hello1)
			e.Granted = true
			w.Put(&e)
		} else {
			w.Lines[line] = record.Line{Grants: []record.Grant{{EVR: evr("1")}}}
		}
		if !w.GrantedBelow(line, evr("2")) || w.GrantedBelow(line, evr("1")) || w.GrantedBelow(view.LineID{Name: "other"}, evr("2")) {
			t.Errorf("used: %v", used)
		}
	}
}

func TestAct(t *testing.T) {
	w := newWorld(t)
	if a, err := Act(w.Ledger, api.Actor{UID: 3, PID: 4}, "why"); err != nil || a != (record.Act{UID: 3, PID: 4, Reason: "why", When: start}) {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestShow(t *testing.T) {
	w := newWorld(t)
	w.Begin()
	if w.Plan.Show {
		t.Error("a plan shows by itself")
	}
	if w.Show(); !w.Seal().Show {
		t.Error("it does not show")
	}
}
