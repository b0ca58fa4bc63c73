// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// fresh is a package of rpm's database whose list was made.
func (w *world) fresh(text, build string) state.InstalledPackage {
	w.t.Helper()
	c := w.candidate(text, build)
	return state.InstalledPackage{Pkg: c.Pkg, Header: c.Header, Fresh: c}
}

// stands is a package of rpm's database whose list needs no work.
func stands(c *view.Candidate) state.InstalledPackage {
	return state.InstalledPackage{Pkg: c.Pkg, Header: c.Header}
}

// compare brings the world in line with what is installed.
func (w *world) compare(found ...state.InstalledPackage) (r Reconciled) {
	w.t.Helper()
	w.must(func() error { w.Apply(found, &r); return nil })
	w.must(func() error { w.Settled(found, &r, nil); return nil })
	return r
}

// The first comparison publishes all there is, with one entry in the log.
func TestFirstComparison(t *testing.T) {
	w := newWorld(t)
	bad := w.fresh("bad-1-1.noarch", "")
	bad.Fresh.Vouch = policy.Decision{Verdict: policy.Veto, Reason: policy.ReasonKeyRevoked, Text: "its key is revoked"}
	empty := w.fresh("empty-1-1.noarch", "")
	empty.Fresh.Vouch = policy.Decision{Verdict: policy.WithholdList, Reason: policy.ReasonNoFiles}
	failed := state.InstalledPackage{Pkg: parse(t, "failed-1-1.noarch"), Header: sum("failed"), Err: errDisk}
	old := state.InstalledPackage{Pkg: parse(t, "old-1-1.noarch"), Header: sum("old"), Err: header.ErrNoRegion}
	r := w.compare(w.fresh("hello-2-1.noarch", ""), bad, w.fresh("hello-1-1.noarch", " twice"), w.fresh("hello-1-1.noarch", ""), empty, failed, old)
	if r.Installed != 7 || r.Published != 2 || r.Withheld != 3 || r.Failed != 1 || r.Kept != 0 || r.Withdrawn != 0 {
		t.Errorf("it is %+v", r.SyncResult)
	}
	w.want("first comparison", `
		intent
		discard new hello-1-1.noarch
		withdraw tlv-bad-0:1-1.noarch
		withdraw tlv-empty-0:1-1.noarch
		publish `+hello1+` from new hello-1-1.noarch twice
		publish `+hello2+` from new hello-2-1.noarch
		sync `+hello1+` `+hello2+`
		record
		withheld bad-0:1-1.noarch key-revoked
		first-sync
		signal published `+hello1+`
		signal published `+hello2)
	w.agree()
	for id, want := range map[string]string{
		"packages":    "1 package could not be vouched for: failed-1-1.noarch: the disk refuses",
		"old-headers": "1 package without a list: its header is older than rpm 4 and has no signature: old-1-1.noarch",
		"twice":       "1 package installed twice, from two builds of one version; one of them has no list: hello-1-1.noarch",
		"no-keys":     "no key vouches for packages, so installed packages cannot have lists",
	} {
		if got := w.problem(id); got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
	if e := w.entry("tlv-empty-0:1-1.noarch"); e.State != record.Empty {
		t.Errorf("a package without files is %s", e.State)
	}
	w.compare()
	if len(w.ByName) > 0 || w.problem("packages")+w.problem("twice") != "" {
		t.Errorf("nothing is installed, and %d lists are known", len(w.ByName))
	}
	w.agree()
}

// A list without a package leaves, unless another act is responsible for it.
func TestComparisonWithdraws(t *testing.T) {
	w := newWorld(t)
	kept := w.install("kept-1-1.noarch", "")
	for _, text := range []string{"gone-1-1.noarch", "grace-1-1.noarch", "late-1-1.noarch", "moving-1-1.noarch", "rebuilt-1-1.noarch", "unsynced-1-1.noarch"} {
		w.install(text, "")
	}
	w.must(func() error {
		for name, change := range map[string]func(*view.Entry){
			"tlv-grace-0:1-1.noarch":    func(e *view.Entry) { e.Grace = "boot" },
			"tlv-late-0:1-1.noarch":     func(e *view.Entry) { e.Grace = "an earlier boot" },
			"tlv-moving-0:1-1.noarch":   func(e *view.Entry) { e.Change = record.Moving },
			"tlv-unsynced-0:1-1.noarch": func(e *view.Entry) { e.Grace, e.Change = "boot", record.Publishing },
		} {
			e := *w.entry(name)
			change(&e)
			w.Save(&e)
		}
		w.Record()
		return nil
	})
	w.told()
	r := w.compare(stands(kept), w.fresh("rebuilt-1-1.noarch", " again"))
	if r.Kept != 1 || r.Published != 1 || r.Withdrawn != 3 {
		t.Errorf("it is %+v", r.SyncResult)
	}
	w.want("comparison", `
		intent
		withdraw tlv-gone-0:1-1.noarch, labels
		withdraw tlv-late-0:1-1.noarch, labels
		withdraw tlv-unsynced-0:1-1.noarch, labels
		publish tlv-rebuilt-0:1-1.noarch from new rebuilt-1-1.noarch again
		sync tlv-rebuilt-0:1-1.noarch
		record
		withdrawn gone-0:1-1.noarch removed
		withdrawn late-0:1-1.noarch removed
		withdrawn unsynced-0:1-1.noarch removed
		published rebuilt-0:1-1.noarch active
		signal withdrawn tlv-gone-0:1-1.noarch: removed
		signal withdrawn tlv-late-0:1-1.noarch: removed
		signal withdrawn tlv-unsynced-0:1-1.noarch: removed
		signal published tlv-rebuilt-0:1-1.noarch`)
	w.agree()
	if w.ByName["tlv-grace-0:1-1.noarch"] == nil || w.ByName["tlv-moving-0:1-1.noarch"] == nil {
		t.Error("a list went that may stay")
	}
	if w.Retired[sum("body rebuilt-1-1.noarch")].Reason == "" {
		t.Error("the old build may come back")
	}
}

// A header that cannot be looked at keeps its list, if that stands.
func TestComparisonFails(t *testing.T) {
	w := newWorld(t)
	p := stands(w.install("hello-1-1.noarch", ""))
	p.Err = errDisk
	if r := w.compare(p); r.Failed != 1 || r.Withdrawn != 0 || w.ByName[hello1] == nil {
		t.Errorf("it is %+v", r.SyncResult)
	}
	w.must(func() error { w.deny("hello"); return nil })
	if r := w.compare(p); r.Withdrawn != 1 || w.ByName[hello1] != nil {
		t.Errorf("denied, it is %+v", r.SyncResult)
	}
}

// A list that is withheld as before changes no record unless something is new of it.
func TestWithheldStill(t *testing.T) {
	w := newWorld(t)
	bad := func(reason policy.Reason, denial, text string) state.InstalledPackage {
		p := w.fresh("hello-1-1.noarch", "")
		p.Fresh.Vouch = policy.Decision{Verdict: policy.WithholdList, Reason: reason, Denial: denial, Text: text}
		return p
	}
	w.compare(bad(policy.ReasonUnknownKey, "", "nobody knows its key"))
	w.told()
	for _, step := range []struct {
		what    string
		p       state.InstalledPackage
		happens string
	}{
		{"the same", bad(policy.ReasonUnknownKey, "", "nobody knows its key"), "sync"},
		{"another reason", bad(policy.ReasonDenied, "d1", "denied"), "withdraw " + hello1 + "\nsync\nrecord\nwithheld hello-0:1-1.noarch denied"},
		{"the same denial", bad(policy.ReasonDenied, "d1", "denied"), "sync"},
		{"another denial", bad(policy.ReasonDenied, "d2", "denied once more"), "sync\nrecord"},
	} {
		if r := w.compare(step.p); r.Withheld != 1 || r.Withdrawn != 0 {
			t.Errorf("%s: %+v", step.what, r.SyncResult)
		}
		w.want(step.what, step.happens)
		w.agree()
	}
	if e := w.entry(hello1); e.Text != "denied once more" || strings.Join(e.Denied, " ") != "d2" {
		t.Errorf("it is %+v", e.List)
	}
	later := bad(policy.ReasonDenied, "d2", "denied once more")
	later.Fresh.From = start.AddDate(0, 0, 1)
	w.compare(later)
	w.want("its signature begins later", "sync\nrecord")
	w.agree()
}

// An active list that may be no more leaves, and comes back when the reason is gone.
func TestComparisonWithholdsAndRestores(t *testing.T) {
	w := newWorld(t)
	w.install("hello-1-1.noarch", "")
	bad := w.fresh("hello-1-1.noarch", "")
	bad.Fresh.Vouch = policy.Decision{Verdict: policy.WithholdList, Reason: policy.ReasonUnknownKey}
	if r := w.compare(bad); r.Withdrawn != 1 || r.Withheld != 1 {
		t.Errorf("it is %+v", r.SyncResult)
	}
	w.want("withheld", "withdraw "+hello1+", labels\nsync\nrecord\nwithheld hello-0:1-1.noarch unknown-key")
	w.agree()
	if e := w.entry(hello1); !e.Suspended() || e.Counter != 1 {
		t.Errorf("that it was active is forgotten: %+v", e.List)
	}
	if r := w.compare(w.fresh("hello-1-1.noarch", "")); r.Published != 1 {
		t.Errorf("it is %+v", r.SyncResult)
	}
	w.want("restored", "intent\npublish "+hello1+" from new hello-1-1.noarch\nsync "+hello1+"\nrecord\npublished hello-0:1-1.noarch active\nsignal published "+hello1)
	w.agree()
}

func TestComparisonCannotPublish(t *testing.T) {
	w := newWorld(t)
	w.fail["publish "+hello1] = errDisk
	if r := w.compare(w.fresh("hello-1-1.noarch", ""), w.fresh("hello-2-1.noarch", "")); r.Failed != 1 || r.Published != 1 {
		t.Errorf("it is %+v", r.SyncResult)
	}
	if w.ByName[hello1] != nil || w.ByName[hello2] == nil || w.problem("packages") == "" {
		t.Errorf("%v, %q", w.ByName, w.problem("packages"))
	}
	w.agree()
	delete(w.fail, "publish "+hello1)
	old := w.fresh("hello-1-1.noarch", "")
	if w.compare(stands(w.candidate("hello-2-1.noarch", "")), old); w.problem("packages") != "" {
		t.Errorf("the problem stays: %s", w.problem("packages"))
	}
}

// A comparison that could not finish leaves the state unsettled: the next one syncs all lists.
func TestUnsettledSyncsAll(t *testing.T) {
	w := newWorld(t)
	c := w.install("hello-1-1.noarch", "")
	withheld := w.fresh("other-1-1.noarch", "")
	withheld.Fresh.Vouch = policy.Decision{Verdict: policy.WithholdList, Reason: policy.ReasonUnknownKey}
	w.compare(stands(c), withheld)
	var r Reconciled
	w.must(func() error { w.SetMark(); w.Settled(nil, &r, errDisk); return nil })
	if !w.Unsettled || w.index["meta open"] == "" {
		t.Error("it is settled")
	}
	w.told()
	w.must(func() error { w.Settled(nil, &r, nil); return nil })
	w.want("settled", "sync "+hello1+"\nrecord")
	if w.Unsettled || w.index["meta open"] != "" {
		t.Error("it is not settled")
	}
}

// The places of the files of a relocated package are recorded.
func TestMovedFiles(t *testing.T) {
	w := newWorld(t)
	p := stands(w.install("hello-1-1.noarch", ""))
	p.Moved = header.Relocations{{From: []byte("/opt"), To: []byte("/srv")}}
	for _, happens := range []string{"sync\nrecord", "sync"} {
		w.compare(p)
		w.want("relocated", happens)
	}
	if e := w.entry(hello1); len(e.Moved) != 1 || string(e.Moved[0].To) != "/srv" {
		t.Errorf("it is %+v", e.List)
	}
	w.agree()
	p.Moved, p.Err = nil, errDisk
	w.compare(p)
	if len(w.entry(hello1).Moved) != 1 {
		t.Error("what could not be looked at is no longer relocated")
	}
}
