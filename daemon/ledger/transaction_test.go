// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"testing"

	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

const hello1, hello2 = "tlv-hello-0:1-1.noarch", "tlv-hello-0:2-1.noarch"

var errDisk = errors.New("the disk refuses")

// deny denies a package by its name.
func (w *world) deny(name string) {
	w.Denied = map[string]record.Denial{"d1": {ID: "d1", Package: name}}
	w.CompileDenials()
}

func TestInstall(t *testing.T) {
	w := newWorld(t)
	txn := w.open("hello-1-1.noarch")
	w.want("begin", "record")
	if w.index["meta open"] != "boot" {
		t.Error("the mark is not durable")
	}
	if _, err := w.add(txn, 0, w.candidate("hello-1-1.noarch", "")); err != nil {
		t.Fatal(err)
	}
	w.want("add", "publish "+hello1+" from new hello-1-1.noarch")
	if !w.entry(hello1).Active() || len(w.keys("lists")) != 0 {
		t.Errorf("before the end the index has %v", w.keys("lists"))
	}
	if published, withdrawn := w.end(txn, 0); published != 1 || withdrawn != 0 {
		t.Errorf("%d published, %d withdrawn", published, withdrawn)
	}
	w.want("end", `
		sync `+hello1+`
		record
		published hello-0:1-1.noarch
		signal published `+hello1+`
		signal finished 1 0`)
	w.agree()
	l := w.Lines[view.LineID{Name: "hello", Arch: "noarch"}]
	if l.High.Version != "1" || l.Counter != 1 || w.entry(hello1).Counter != 1 {
		t.Errorf("the line is %+v", l)
	}
	if len(w.keys("meta")) != 0 {
		t.Errorf("the mark stays: %v", w.keys("meta"))
	}
}

func TestUpgrade(t *testing.T) {
	w := newWorld(t)
	old := w.install("hello-1-1.noarch", "")
	txn := w.open("hello-2-1.noarch", "-hello-1-1.noarch")
	w.add(txn, 0, w.candidate("hello-2-1.noarch", ""))
	w.told()
	w.remove(txn, 1, old.Header)
	w.want("remove", "withdraw "+hello1+", labels")
	if published, withdrawn := w.end(txn, 0); published != 1 || withdrawn != 1 {
		t.Errorf("%d published, %d withdrawn", published, withdrawn)
	}
	w.want("end", `
		sync `+hello2+`
		record
		published hello-0:2-1.noarch
		withdrawn hello-0:1-1.noarch replaced
		signal published `+hello2+`
		signal withdrawn `+hello1+`: replaced
		signal finished 1 1`)
	w.agree()
	if r := w.Retired[old.Body]; r.Reason != "replaced" || len(w.keys("retired")) != 1 {
		t.Errorf("its body is remembered as %+v", r)
	}
	if l := w.Lines[view.LineOf(old.Pkg)]; l.High.Version != "2" || l.Retired.Version != "1" {
		t.Errorf("the line is %+v", l)
	}
}

func TestErase(t *testing.T) {
	w := newWorld(t)
	old := w.install("hello-1-1.noarch", "")
	txn := w.open("-hello-1-1.noarch")
	w.remove(txn, 0, sum("another header"))
	w.want("remove what nobody knows", "record")
	w.remove(txn, 0, old.Header)
	w.end(txn)
	if w.Retired[old.Body].Reason != "removed" || len(w.ByName) != 0 || len(w.keys("lists")) != 0 {
		t.Errorf("it is remembered as %+v", w.Retired)
	}
}

// A replaced list may stay until the next boot; that it left its line is recorded.
func TestReplacedListStays(t *testing.T) {
	w := newWorld(t, func(s *state.Settings) { s.KeepOld = true })
	old := w.install("hello-1-1.noarch", "")
	txn := w.open("hello-2-1.noarch", "-hello-1-1.noarch")
	w.add(txn, 0, w.candidate("hello-2-1.noarch", ""))
	w.told()
	w.remove(txn, 1, old.Header)
	w.want("remove", "")
	if _, withdrawn := w.end(txn, 0); withdrawn != 0 {
		t.Errorf("%d withdrawn", withdrawn)
	}
	w.agree()
	if e := w.entry(hello1); !e.Active() || e.Grace != "boot" {
		t.Errorf("the old list is %+v", e.List)
	}
	if l := w.Lines[view.LineOf(old.Pkg)]; l.Retired.Version != "1" {
		t.Errorf("the line is %+v", l)
	}

	erased := w.open("-hello-2-1.noarch")
	w.remove(erased, 0, sum("hello-2-1.noarch"))
	if w.ByName[hello2] != nil {
		t.Error("a list stays whose package was not replaced")
	}
}

// The treatment of a version that is older than the active one.
func TestAddRollback(t *testing.T) {
	for name, tc := range map[string]struct {
		mode    policy.Mode
		assured bool
		grant   bool
		state   record.State // "": it is not entered
		happens string
		ends    string
	}{
		"enforce": {mode: policy.Enforce, happens: `discard new hello-1-1.noarch
			record
			rollback-refused hello-0:1-1.noarch rollback
			signal refused hello-0:1-1.noarch`, ends: "sync\nrecord\nsignal finished 0 0"},
		"enforce, assured": {mode: policy.Enforce, assured: true, state: record.Withheld, happens: "discard new hello-1-1.noarch",
			ends: "sync\nrecord\nrollback-withheld hello-0:1-1.noarch rollback\nsignal finished 0 0"},
		"withhold": {mode: policy.Withhold, state: record.Withheld, happens: "discard new hello-1-1.noarch",
			ends: "sync\nrecord\nrollback-withheld hello-0:1-1.noarch rollback\nsignal finished 0 0"},
		"audit": {mode: policy.Audit, state: record.Active, happens: "publish " + hello1 + " from new hello-1-1.noarch",
			ends: "sync " + hello1 + "\nrecord\nrollback-allowed hello-0:1-1.noarch rollback\nsignal published " + hello1 + "\nsignal finished 1 0"},
		"granted": {mode: policy.Enforce, grant: true, state: record.Active, happens: "publish " + hello1 + " from new hello-1-1.noarch",
			ends: "sync " + hello1 + "\nrecord\ngrant-used hello-0:1-1.noarch granted\nsignal published " + hello1 + "\nsignal finished 1 0"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(s *state.Settings) { s.Mode = tc.mode })
			w.install("hello-2-1.noarch", "")
			if tc.grant {
				l := w.Lines[view.LineID{Name: "hello", Arch: "noarch"}]
				l.Grants = []record.Grant{{EVR: parse(t, "hello-1-1.noarch").EVR}}
				w.SetLine(l)
			}
			txn := w.open("hello-1-1.noarch")
			txn.Assured = tc.assured
			w.told()
			w.must(func() error {
				_, err := w.Add(txn, 0, w.candidate("hello-1-1.noarch", ""))
				w.Record()
				return err
			})
			w.want("add", tc.happens)
			if e := w.ByName[hello1]; (e == nil) != (tc.state == "") || e != nil && e.State != tc.state {
				t.Errorf("it is entered as %+v", e)
			}
			w.end(txn, 0)
			w.want("end", tc.ends)
			w.agree()
			if l := w.Lines[view.LineID{Name: "hello", Arch: "noarch"}]; l.High.Version != "2" || len(l.Grants) > 0 {
				t.Errorf("the line is %+v", l)
			}
		})
	}
}

func TestAddIsMadeAgain(t *testing.T) {
	w := newWorld(t)
	c, txn := w.candidate("hello-1-1.noarch", ""), w.open("hello-1-1.noarch")
	w.Basis++
	before := w.memory()
	if _, err := w.add(txn, 0, c); !errors.Is(err, ErrAgain) {
		t.Errorf("%v, want that it is made again", err)
	}
	if after := w.memory(); after != before || len(txn.Added) > 0 {
		t.Errorf("there is left\n%s\nof\n%s", after, before)
	}
}

func TestAddNotPublished(t *testing.T) {
	w := newWorld(t)
	txn := w.open("hello-1-1.noarch")
	before := w.memory()
	w.fail["publish "+hello1] = errDisk
	if _, err := w.add(txn, 0, w.candidate("hello-1-1.noarch", "")); !errors.Is(err, errDisk) {
		t.Errorf("the answer is %v", err)
	}
	if after := w.memory(); after != before || len(txn.Added)+len(txn.ByIndex)+len(txn.Touched) > 0 {
		t.Errorf("there is left\n%s\nof\n%s", after, before)
	}
}

// A new build of a version takes the place of the old one, whose body must not come back.
func TestRebuild(t *testing.T) {
	w := newWorld(t)
	old := w.install("hello-1-1.noarch", "")
	txn := w.open("hello-1-1.noarch", "-hello-1-1.noarch")
	w.told()
	w.add(txn, 0, w.candidate("hello-1-1.noarch", " again"))
	w.want("add", "publish "+hello1+" from new hello-1-1.noarch again")
	w.remove(txn, 1, old.Header)
	w.want("remove the build whose list is replaced", "")
	w.end(txn, 0)
	w.want("end", `
		discard old hello-1-1.noarch
		sync `+hello1+`
		record
		published hello-0:1-1.noarch active
		signal published `+hello1+`
		signal finished 1 0`)
	w.agree()
	if r := w.Retired[old.Body]; r.Reason != "replaced by another build of the same version" {
		t.Errorf("its body is remembered as %+v", r)
	}
}

// A build that did not get in gives its place back, unless what vouched for the one
// before is gone.
func TestRebuildFails(t *testing.T) {
	for name, tc := range map[string]struct {
		meanwhile func(w *world)
		happens   string
		broken    bool
		unsettled bool
	}{
		"it comes back": {happens: "publish " + hello1 + " from old hello-1-1.noarch"},
		"denied meanwhile": {func(w *world) { w.deny("hello") },
			"discard old hello-1-1.noarch\nwithdraw " + hello1 + ", labels", true, false},
		"no longer trusted": {func(w *world) { w.Unsigned = policy.UnsignedWithhold },
			"discard old hello-1-1.noarch\nwithdraw " + hello1 + ", labels", true, false},
		"cannot be published": {func(w *world) { w.fail["publish "+hello1] = errDisk }, "withdraw " + hello1 + ", labels", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			old := w.install("hello-1-1.noarch", "")
			txn := w.open("hello-1-1.noarch")
			w.add(txn, 0, w.candidate("hello-1-1.noarch", " again"))
			if tc.meanwhile != nil {
				tc.meanwhile(w)
			}
			w.told()
			err := w.do(func() error {
				w.Failed(txn, 0)
				w.Failed(txn, 0) // said twice, and of what nobody added
				w.Failed(txn, 7)
				return nil
			})
			w.want("the element failed", tc.happens)
			if failed := w.fail["publish "+hello1]; !errors.Is(err, failed) {
				t.Errorf("the answer is %v, want %v", err, failed)
			}
			e := w.entry(hello1)
			if e.Header != old.Header || e.Broken != tc.broken || w.Anew != tc.broken || w.Unsettled != tc.unsettled {
				t.Errorf("broken: %v, anew: %v, unsettled: %v", e.Broken, w.Anew, w.Unsettled)
			}
			if !tc.broken && e.Stamp != stampOf("old hello-1-1.noarch") {
				t.Error("its stamp is another")
			}
			w.end(txn)
			w.agree()
		})
	}
}

// A package that is not installed when the transaction ends has no list then.
func TestNotInstalled(t *testing.T) {
	w := newWorld(t)
	w.install("other-1-1.noarch", "")
	txn := w.open("hello-1-1.noarch", "other-1-1.noarch")
	w.add(txn, 0, w.candidate("hello-1-1.noarch", ""))
	w.add(txn, 1, w.candidate("other-1-1.noarch", " again"))
	w.told()
	if published, _ := w.end(txn); published != 0 {
		t.Errorf("%d published", published)
	}
	w.want("end", `
		withdraw `+hello1+`, labels
		publish tlv-other-0:1-1.noarch from old other-1-1.noarch
		sync `+hello1+` tlv-other-0:1-1.noarch tlv-other-0:1-1.noarch
		record
		signal finished 0 0`)
	w.agree()
}

// A build that is withheld takes the list of the one before away, which waits.
func TestWithheldRebuild(t *testing.T) {
	w := newWorld(t)
	w.install("hello-1-1.noarch", "")
	bad := w.candidate("hello-1-1.noarch", " bad")
	bad.Vouch = policy.Decision{Verdict: policy.WithholdList, Reason: policy.ReasonUnknownKey, Text: "nobody knows its key"}
	txn := w.open("hello-1-1.noarch")
	w.told()
	a, err := w.add(txn, 0, bad)
	if err != nil || a.Decision.Reason != policy.ReasonUnknownKey {
		t.Errorf("%+v, %v", a, err)
	}
	w.want("add", "discard new hello-1-1.noarch bad\nwithdraw "+hello1+", labels")
	if e := w.entry(hello1); e.State != record.Withheld || !e.File.IsZero() || e.Signer != "" {
		t.Errorf("it is entered as %+v", e.List)
	}
	w.must(func() error { w.Failed(txn, 0); return nil })
	w.want("failed", "publish "+hello1+" from old hello-1-1.noarch")
	w.end(txn)
	w.agree()
}

// Consider finds work that need not be done.
func TestConsider(t *testing.T) {
	w := newWorld(t)
	old := w.install("hello-2-1.noarch", "")
	consider := func(c *view.Candidate, restore bool) (txn *state.Transaction, e *view.Entry, d policy.Decision) {
		txn = w.open(c.Pkg.String())
		w.must(func() error { e, d = w.Consider(txn, 0, c, restore); return nil })
		return txn, e, d
	}
	txn, e, d := consider(old, false)
	if e == nil || d.Verdict != policy.Allow || txn.ByIndex[0] == nil || !txn.Added[old.Header].Reused {
		t.Errorf("what is active is %v, %+v", e, d)
	}
	w.told()
	w.must(func() error { w.Failed(txn, 0); return nil })
	w.want("a list that was there before is not taken back", "")
	if published, _ := w.end(txn, 0); published != 0 {
		t.Errorf("%d published", published)
	}
	if txn, e, _ := consider(old, true); e == nil || len(txn.Added) > 0 {
		t.Errorf("restored, it is %v and an addition", e)
	}
	if _, e, d := consider(w.candidate("hello-1-1.noarch", ""), false); e != nil || d.Reason != policy.ReasonRollback || d.Verdict != policy.Veto {
		t.Errorf("an older version is %v, %+v", e, d)
	}
	if _, e, d := consider(w.candidate("hello-3-1.noarch", ""), false); e != nil || d.Verdict != policy.Allow {
		t.Errorf("a newer version is %v, %+v", e, d)
	}
	w.Unsigned = policy.UnsignedWithhold
	if _, e, _ := consider(old, false); e != nil {
		t.Error("a list stays for which nothing vouches")
	}
}

// Foresee decides as an installation would, without any.
func TestForesee(t *testing.T) {
	w := newWorld(t)
	old := w.install("hello-2-1.noarch", "")
	unknown := w.candidate("hello-3-1.noarch", "")
	unknown.Vouch = policy.Decision{Verdict: policy.WithholdList, Reason: policy.ReasonUnknownKey}
	held := w.candidate("hello-4-1.noarch", "")
	held.Held = "its revocation cannot be verified"
	for name, tc := range map[string]struct {
		c    *view.Candidate
		want policy.Reason
	}{
		"active":      {old, ""},
		"older":       {w.candidate("hello-1-1.noarch", ""), policy.ReasonRollback},
		"newer":       {w.candidate("hello-3-1.noarch", ""), ""},
		"unknown key": {unknown, policy.ReasonUnknownKey},
		"key held":    {held, policy.ReasonKeyHeld},
	} {
		before := w.memory()
		if d := w.Foresee(&state.Transaction{}, tc.c); d.Reason != tc.want {
			t.Errorf("%s: %+v, want %q", name, d, tc.want)
		}
		if w.memory() != before {
			t.Errorf("%s: something is left of it", name)
		}
	}
}

// A veto before anything is done is recorded, but not that of a trial.
func TestAsked(t *testing.T) {
	const veto = "record\nrollback-refused hello-0:1-1.noarch rollback\nsignal refused hello-0:1-1.noarch"
	for name, tc := range map[string]struct {
		manner  state.Manner
		happens string
	}{"in earnest": {state.Manner{}, veto}, "trial": {state.Manner{Test: true}, ""}, "check": {state.Manner{Test: true, Check: true}, veto}} {
		w := newWorld(t)
		w.install("hello-2-1.noarch", "")
		txn := &state.Transaction{Manner: tc.manner, Elements: elements(t, "hello-1-1.noarch", "new-1-1.noarch")}
		var got []policy.ElementDecision
		w.must(func() error { got = w.Asked(txn); w.Record(); return nil })
		if len(got) != 2 || got[0].Verdict != policy.Veto || got[1].Verdict != policy.Allow {
			t.Errorf("%s: %+v", name, got)
		}
		w.want(name, tc.happens)
	}
}

func TestAssure(t *testing.T) {
	w := newWorld(t)
	w.deny("bad")
	for want, text := range map[bool]string{true: "hello-1-1.noarch", false: "bad-1-1.noarch"} {
		txn := &state.Transaction{Elements: elements(t, text)}
		if got := w.Assure(txn); got != want || txn.Assured != want {
			t.Errorf("%s is assured: %v", text, got)
		}
	}
}

// The list of a version that a transaction replaced by another build, and that was cut
// short, is found by its version.
func TestRemoveSupplanted(t *testing.T) {
	w := newWorld(t)
	w.install("hello-1-1.noarch", "")
	txn := w.open("-hello-1-1.noarch")
	find := func(element uint32) *view.Entry { return w.Remove(txn, element, sum("gone")) }
	if find(0) != nil {
		t.Error("a list is found by its version where nothing was cut short")
	}
	w.Unsettled = true
	if find(0) != nil {
		t.Error("a list is found whose file stands")
	}
	w.must(func() error { w.mark(w.entry(hello1)); return nil })
	if find(0) != w.entry(hello1) || find(1) != nil {
		t.Error("it is not found, or for what is no element")
	}
	w.told()
	w.must(func() error { w.RemoveNow(txn, &view.Entry{List: record.List{Name: hello1}}); return nil })
	w.want("remove what is not current", "")
}

// The same package installed again keeps its list.
func TestReinstallKeepsList(t *testing.T) {
	w := newWorld(t)
	c := w.install("hello-1-1.noarch", "")
	txn := w.open("hello-1-1.noarch", "-hello-1-1.noarch")
	w.must(func() error { w.Consider(txn, 0, c, false); return nil })
	w.told()
	w.remove(txn, 1, c.Header)
	w.end(txn, 0)
	w.want("install again", "sync\nrecord\nsignal finished 0 0")
	w.agree()
}

// A transaction that is lost leaves the directory as it is for the comparison, which must
// know what may be wrong.
func TestAbandon(t *testing.T) {
	w := newWorld(t, func(s *state.Settings) { s.KeepOld = true })
	for _, text := range []string{"rebuilt-1-1.noarch", "erased-1-1.noarch", "upgraded-1-1.noarch"} {
		w.install(text, "")
	}
	txn := w.open("new-1-1.noarch", "rebuilt-1-1.noarch", "-erased-1-1.noarch", "upgraded-2-1.noarch", "-upgraded-1-1.noarch")
	w.add(txn, 0, w.candidate("new-1-1.noarch", ""))
	w.add(txn, 1, w.candidate("rebuilt-1-1.noarch", " again"))
	w.remove(txn, 2, sum("erased-1-1.noarch"))
	w.add(txn, 3, w.candidate("upgraded-2-1.noarch", ""))
	w.remove(txn, 4, sum("upgraded-1-1.noarch"))
	w.told()
	w.must(func() error { w.Abandon(txn); w.Record(); return nil })
	w.want("abandon", "discard old rebuilt-1-1.noarch")
	if len(w.Open) > 0 || !w.Unsettled || !w.Anew || w.index["meta open"] == "" {
		t.Errorf("open: %d, unsettled: %v, anew: %v", len(w.Open), w.Unsettled, w.Anew)
	}
	for name, broken := range map[string]bool{"tlv-rebuilt-0:1-1.noarch": true, "tlv-erased-0:1-1.noarch": true, "tlv-upgraded-0:1-1.noarch": false} {
		if e := w.entry(name); e.Broken != broken || e.Grace != "" {
			t.Errorf("%s: broken: %v, grace %q", name, e.Broken, e.Grace)
		}
	}
	if len(w.ByName) != 3 {
		t.Errorf("%d lists are known", len(w.ByName))
	}
}

// Of a transaction that another digestd began only that one knew what was erased for good.
func TestTakenOverErases(t *testing.T) {
	for name, over := range map[string]func(*world, *state.Transaction){
		"end":     func(w *world, txn *state.Transaction) { w.End(txn) },
		"abandon": func(w *world, txn *state.Transaction) { w.Abandon(txn) },
	} {
		w := newWorld(t)
		c := w.install("hello-1-1.noarch", "")
		txn := w.open("-hello-1-1.noarch")
		txn.TakenOver = true
		w.remove(txn, 0, c.Header)
		w.must(func() error { over(w, txn); return nil })
		if e := w.entry(hello1); !e.Broken || !w.Anew || len(w.Retired) > 0 {
			t.Errorf("%s: broken: %v, retired: %v", name, e.Broken, w.Retired)
		}
	}
}

// A header that comes twice in one transaction does not lose what stood before it.
func TestAddTwice(t *testing.T) {
	w := newWorld(t)
	old := w.install("hello-1-1.noarch", "")
	txn := w.open("hello-1-1.noarch")
	for range 2 {
		w.add(txn, 0, w.candidate("hello-1-1.noarch", " again"))
	}
	w.told()
	w.must(func() error { w.Failed(txn, 0); return nil })
	w.want("failed", "publish "+hello1+" from old hello-1-1.noarch")
	if w.entry(hello1).Header != old.Header {
		t.Error("the build before is forgotten")
	}
	w.end(txn)
	w.agree()
}
