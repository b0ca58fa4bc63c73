// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger/deployed"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// boots has the machine boot a deployment.
func (w *world) boots(id string, boot int) {
	w.t.Helper()
	w.must(func() error {
		w.Booted(record.Deployment{Kind: "btrfs", ID: id, Name: "subvolume " + id, Boot: fmt.Sprint(boot)})
		return nil
	})
}

func (w *world) deployment() record.Deployment {
	w.t.Helper()
	d, err := (&record.Content{Meta: map[string][]byte{record.MetaDeployment: []byte(w.index["meta "+record.MetaDeployment])}}).Deployment()
	if err != nil {
		w.t.Fatal(err)
	}
	if d.ID != w.Past.Deployed.ID || d.Older != w.Past.Deployed.Older || d.Due != w.Past.Deployed.Due || len(d.Waiting) != len(w.Past.Deployed.Waiting) {
		w.t.Errorf("the index has %+v, and memory %+v", *d, *w.Past.Deployed)
	}
	return *d
}

// older is the problem of a deployment.
func (w *world) older() (problem api.Problem) {
	for _, p := range w.Problems {
		if p.ID == deployed.ProblemOlder {
			problem = p
		}
	}
	return problem
}

// upgraded is a world in which deployment A had hello-1, and B, which runs, has hello-2.
func upgraded(t *testing.T, change ...func(*state.Settings)) *world {
	w := newWorld(t, change...)
	w.boots("A", 1)
	w.install("hello-1-1.noarch", "")
	w.boots("B", 2)
	w.compare(w.fresh("hello-2-1.noarch", ""))
	w.lines = nil
	return w
}

func TestDeploymentIsRemembered(t *testing.T) {
	w := newWorld(t)
	w.boots("", 1)
	w.want("none", "")
	w.boots("A", 1)
	w.want("first", "record")
	w.boots("A", 1)
	w.boots("", 2)
	w.want("again", "")
	w.boots("A", 2)
	w.want("another boot", "record")
	w.boots("B", 2) // without a boot
	w.want("not believed", "")
	if d := w.deployment(); d.ID != "A" || d.Boot != "2" || d.Due || !d.Since.Equal(start) {
		t.Errorf("it is %+v", d)
	}
	w.Clock = start.Add(time.Hour)
	w.boots("B", 3)
	w.want("changed", `
		record
		deployment-changed subvolume B`)
	if d := w.deployment(); d.ID != "B" || d.From != "subvolume A" || !d.Due || d.Since.Equal(start) {
		t.Errorf("it is %+v", d)
	}
	if w.index["meta open"] == "" || !w.Unsettled {
		t.Error("what lies in the directory would be another program's")
	}
	w.compare()
	if d := w.deployment(); d.Due || w.Unsettled || w.problem(deployed.ProblemOlder) != "" {
		t.Errorf("after a comparison it is %+v, problem %q", d, w.problem(deployed.ProblemOlder))
	}
	w.agree()
}

func TestDeploymentWentBack(t *testing.T) {
	w := upgraded(t)
	if p := w.problem(deployed.ProblemOlder); p != "" {
		t.Errorf("after an upgrade: %s", p)
	}
	before := w.Lines[view.LineID{Name: "hello", Arch: "noarch"}]
	w.boots("A", 3)
	w.lines = nil
	w.compare(w.fresh("hello-1-1.noarch", ""))
	w.want("went back", `
		withdraw `+hello2+`, labels
		publish `+hello1+` from new hello-1-1.noarch
		sync `+hello1+`
		record
		withdrawn hello-0:2-1.noarch removed
		rollback-allowed hello-0:1-1.noarch rollback
		deployment-older subvolume A
		signal withdrawn `+hello2+`: removed
		signal published `+hello1)
	w.agree()
	if l := w.Lines[view.LineID{Name: "hello", Arch: "noarch"}]; l.High != before.High || l.Counter <= before.Counter {
		t.Errorf("the line was %+v and is %+v", before, l)
	}
	want := "the machine was booted into subvolume A instead of subvolume B: 1 package of it is older than what was active here: hello-1-1.noarch"
	if p := w.problem(deployed.ProblemOlder); p != want {
		t.Errorf("the problem is %q", p)
	}
	if p := w.older(); p.Severity != api.SeverityWarning || !strings.Contains(p.Advice, `deployment-rollback = "refuse"`) {
		t.Errorf("it is %+v", p)
	}
	// It stays so, also when the deployment is booted again and the setting changes.
	w.RefuseOlder = true
	w.boots("A", 4)
	w.compare(stands(w.candidate("hello-1-1.noarch", "")))
	if !w.entry(hello1).Active() || w.problem(deployed.ProblemOlder) != want || w.deployment().Older != 1 {
		t.Errorf("%s, %q", w.entry(hello1).State, w.problem(deployed.ProblemOlder))
	}
	// Anything else that is older is a rollback.
	other := w.install("other-2-1.noarch", "")
	w.compare(stands(w.candidate("hello-1-1.noarch", "")), stands(other))
	w.compare(stands(w.candidate("hello-1-1.noarch", "")), w.fresh("other-1-1.noarch", ""))
	if e := w.entry("tlv-other-0:1-1.noarch"); e.Active() || e.Reason != string(policy.ReasonRollback) {
		t.Errorf("other is %s: %s", e.State, e.Reason)
	}
	w.compare(stands(w.candidate("hello-1-1.noarch", "")))
	w.install("hello-3-1.noarch", "") // beside it, for all that the ledger knows
	w.compare(stands(w.candidate("hello-3-1.noarch", "")))
	if w.problem(deployed.ProblemOlder) != "" || w.deployment().Older != 0 {
		t.Errorf("after an update: %q, %+v", w.problem(deployed.ProblemOlder), w.deployment())
	}
}

// A transaction that updates the package solves the problem by itself.
func TestDeploymentIsUpdated(t *testing.T) {
	w := upgraded(t)
	w.boots("A", 3)
	old := w.fresh("hello-1-1.noarch", "")
	w.compare(old)
	txn := w.open("hello-2-1.noarch", "-hello-1-1.noarch")
	if a, err := w.add(txn, 0, w.candidate("hello-2-1.noarch", "")); err != nil || a.Decision.Verdict != policy.Allow {
		t.Fatalf("%+v, %v", a, err)
	}
	w.must(func() error { w.Installed(txn, 0); return nil })
	w.remove(txn, 1, old.Header)
	w.end(txn)
	if w.problem(deployed.ProblemOlder) != "" || w.deployment().Older != 0 {
		t.Errorf("%q, %+v", w.problem(deployed.ProblemOlder), w.deployment())
	}
	// And what it replaced does not come back.
	txn = w.open("hello-1-1.noarch")
	if a, _ := w.add(txn, 0, w.candidate("hello-1-1.noarch", "")); a.Decision.Reason != policy.ReasonRollback {
		t.Errorf("it is %+v", a.Decision)
	}
}

// What was replaced before the boot was not in the former deployment, though keep-old kept its list.
func TestDeploymentHasWhatWasKept(t *testing.T) {
	w := newWorld(t)
	w.KeepOld = true
	w.boots("B", 1)
	old := w.install("hello-1-1.noarch", "")
	txn := w.open("hello-2-1.noarch", "-hello-1-1.noarch")
	if a, err := w.add(txn, 0, w.candidate("hello-2-1.noarch", "")); err != nil || a.Decision.Verdict != policy.Allow {
		t.Fatalf("%+v, %v", a, err)
	}
	w.must(func() error { w.Installed(txn, 0); return nil })
	w.remove(txn, 1, old.Header)
	w.end(txn)
	if e := w.entry(hello1); e.Grace == "" {
		t.Fatalf("the list is not kept: %+v", e)
	}
	w.boots("A", 2)
	w.compare(w.fresh("hello-1-1.noarch", ""))
	if e := w.entry(hello1); !e.Active() || e.Grace != "" || w.deployment().Older != 1 {
		t.Errorf("%s: %s, %+v", e.State, e.Reason, w.deployment())
	}
}

func TestDeploymentIsRefused(t *testing.T) {
	w := upgraded(t)
	w.RefuseOlder = true
	w.boots("A", 3)
	w.compare(w.fresh("hello-1-1.noarch", ""), w.fresh("new-1-1.noarch", ""))
	if e := w.entry(hello1); e.Active() || e.Reason != string(policy.ReasonRollback) || !w.entry("tlv-new-0:1-1.noarch").Active() {
		t.Fatalf("it is %s: %s", e.State, e.Reason)
	}
	if p := w.older(); p.Severity != api.SeverityError || !strings.Contains(p.Text, "1 without a list") || !strings.Contains(p.Advice, `"report"`) {
		t.Errorf("it is %+v", p)
	}
	if d := w.deployment(); len(d.Waiting) != 1 || d.Waiting[0] != sum("hello-1-1.noarch") {
		t.Errorf("it is %+v", d)
	}
	w.compare(w.fresh("hello-1-1.noarch", ""), stands(w.candidate("new-1-1.noarch", "")))
	if w.entry(hello1).Active() {
		t.Error("a second comparison publishes it")
	}
	// The owner changes the setting. What came since then is no part of the deployment.
	w.install("late-2-1.noarch", "")
	w.RefuseOlder = false
	w.compare(w.fresh("hello-1-1.noarch", ""), stands(w.candidate("new-1-1.noarch", "")), w.fresh("late-1-1.noarch", ""))
	if !w.entry(hello1).Active() || w.entry("tlv-late-0:1-1.noarch").Active() {
		t.Errorf("hello is %s, late %s", w.entry(hello1).State, w.entry("tlv-late-0:1-1.noarch").State)
	}
	if d := w.deployment(); len(d.Waiting) != 0 {
		t.Errorf("it is %+v", d)
	}
	w.agree()
}

// What somebody decided about a version holds whatever the machine boots.
func TestDecisionsOutliveDeployments(t *testing.T) {
	for name, decide := range map[string]struct {
		by     func(w *world)
		reason policy.Reason
	}{
		"floor": {func(w *world) {
			l := w.Lines[view.LineID{Name: "hello", Arch: "noarch"}]
			l.Name, l.Arch, l.Floor = "hello", "noarch", nevra.EVR{Version: "2", Release: "1"}
			w.SetLine(l)
		}, policy.ReasonRollbackFloor},
		"floor of a policy file": {func(w *world) {
			w.SetFloorsOf("policy:base", []policy.OriginFloor{{Package: "hello", EVR: nevra.EVR{Version: "2", Release: "1"}, Origin: "policy:base"}})
		}, policy.ReasonRollbackFloor},
		"floor that keeps what is active": {func(w *world) {
			w.SetFloorsOf("policy:base", []policy.OriginFloor{{Package: "hello", EVR: nevra.EVR{Version: "2", Release: "1"}, Origin: "policy:base", Keep: true}})
		}, policy.ReasonRollbackFloor},
		"denial": {func(w *world) { w.deny("hello") }, policy.ReasonDenied},
		"nobody": {func(*world) {}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := upgraded(t)
			decide.by(w)
			w.boots("A", 3)
			w.compare(w.fresh("hello-1-1.noarch", ""))
			if e := w.entry(hello1); e.Active() != (decide.reason == "") || e.Reason != string(decide.reason) && !e.Active() {
				t.Errorf("it is %s: %s", e.State, e.Reason)
			}
			w.agree()
		})
	}
	t.Run("revocation", func(t *testing.T) {
		w := upgraded(t)
		w.boots("A", 3)
		bad := w.fresh("hello-1-1.noarch", "")
		bad.Fresh.Vouch = policy.Decision{Verdict: policy.Veto, Reason: policy.ReasonKeyRevoked, Text: "its key is revoked"}
		w.compare(bad)
		if e := w.entry(hello1); e.Active() || e.Reason != string(policy.ReasonKeyRevoked) {
			t.Errorf("it is %s: %s", e.State, e.Reason)
		}
	})
}

// A package that was refused and is still there stays refused: another deployment with the
// same package does not change that.
func TestRefusedStaysRefused(t *testing.T) {
	w := upgraded(t, func(s *state.Settings) { s.Mode = policy.Withhold })
	w.compare(w.fresh("hello-1-1.noarch", "")) // by no transaction
	if w.entry(hello1).Active() {
		t.Fatal("a rollback is not refused")
	}
	w.boots("C", 3)
	w.compare(w.fresh("hello-1-1.noarch", ""), w.fresh("new-1-1.noarch", ""))
	if w.entry(hello1).Active() || !w.entry("tlv-new-0:1-1.noarch").Active() {
		t.Error("it is published")
	}
	if d := w.deployment(); len(d.Waiting) != 0 || d.Older != 1 {
		t.Errorf("it is %+v", d)
	}
}

// What could not be published, or looked at, by the first comparison comes by a later one.
func TestDeploymentWaits(t *testing.T) {
	w := upgraded(t)
	other := w.install("other-2-1.noarch", "")
	w.compare(stands(w.candidate("hello-2-1.noarch", "")), stands(other))
	w.boots("A", 3)
	w.fail = map[string]error{"publish " + hello1: errDisk}
	failed := state.InstalledPackage{Pkg: parse(t, "other-1-1.noarch"), Header: sum("other-1-1.noarch"), Err: errDisk}
	unread := state.InstalledPackage{Err: errDisk}
	w.compare(w.fresh("hello-1-1.noarch", ""), failed, unread)
	if d := w.deployment(); d.Due || len(d.Waiting) != 2 {
		t.Errorf("it is %+v", d)
	}
	w.fail = nil
	w.compare(w.fresh("hello-1-1.noarch", ""), w.fresh("other-1-1.noarch", ""))
	if !w.entry(hello1).Active() || !w.entry("tlv-other-0:1-1.noarch").Active() || len(w.deployment().Waiting) != 0 {
		t.Errorf("hello is %s, other %s, %+v", w.entry(hello1).State, w.entry("tlv-other-0:1-1.noarch").State, w.deployment())
	}
	w.agree()
}

// A package of which several versions are installed side by side went, and is back.
func TestDeploymentWithKernels(t *testing.T) {
	w := newWorld(t, func(s *state.Settings) { s.Multi = []string{"kernel"} })
	w.boots("A", 1)
	one := w.install("kernel-1-1.noarch", "")
	w.boots("B", 2)
	w.compare(stands(one), w.fresh("kernel-2-1.noarch", ""))
	w.compare(stands(w.candidate("kernel-2-1.noarch", "")))
	w.boots("A", 3)
	w.compare(w.fresh("kernel-1-1.noarch", ""))
	if !w.entry("tlv-kernel-0:1-1.noarch").Active() || w.deployment().Older != 1 {
		t.Errorf("it is %s, %+v", w.entry("tlv-kernel-0:1-1.noarch").State, w.deployment())
	}
}

// A restart finds what was known, and goes on with a comparison that did not come to its end.
func TestDeploymentAfterRestart(t *testing.T) {
	w := upgraded(t)
	w.boots("A", 3)
	again := func() *world {
		t.Helper()
		n := newWorld(t)
		c := Content{Content: record.Content{NextSeq: w.NextSeq, Retired: map[record.Digest]record.Retirement{}, Taken: map[string]uint64{}, Meta: map[string][]byte{}}}
		for _, key := range w.keys("meta") {
			c.Meta[key] = []byte(w.index["meta "+key])
		}
		for _, e := range w.Sorted() {
			c.Lists = append(c.Lists, e.List)
		}
		for id, l := range w.Lines {
			l.Name, l.Arch = id.Name, id.Arch
			c.Lines = append(c.Lines, l)
		}
		if err := n.Load(c); err != nil {
			t.Fatal(err)
		}
		n.KeysRead, n.index, n.files, n.lines = true, w.index, w.files, nil
		n.boots("A", 3)
		return n
	}
	w = again()
	if !w.Unsettled || !w.Past.Deployed.Due {
		t.Fatalf("unsettled %v, %+v", w.Unsettled, *w.Past.Deployed)
	}
	w.compare(w.fresh("hello-1-1.noarch", ""), w.fresh("more-1-1.noarch", ""))
	if !w.entry(hello1).Active() {
		t.Error("it is not published")
	}
	want := w.problem(deployed.ProblemOlder)
	w = again()
	if got := w.problem(deployed.ProblemOlder); got != want || got == "" {
		t.Errorf("after a restart the problem is %q, was %q", got, want)
	}
	w.index["meta "+record.MetaDeployment] = "{"
	if err := newWorld(t).Load(Content{Content: record.Content{Meta: map[string][]byte{record.MetaDeployment: []byte("{")}}}); err == nil {
		t.Error("a damaged record is read")
	}
}

// Many packages are one problem.
func TestDeploymentOfManyPackages(t *testing.T) {
	w := newWorld(t)
	w.boots("A", 1)
	all := func(version int) (found []state.InstalledPackage) {
		for i := range 5 {
			found = append(found, w.fresh(fmt.Sprintf("p%d-%d-1.noarch", i, version), ""))
		}
		return found
	}
	w.compare(all(2)...)
	w.boots("B", 2)
	w.compare(all(1)...)
	if got := w.problem(deployed.ProblemOlder); !strings.HasSuffix(got, "5 packages of it are older than what was active here: p0-1-1.noarch, p1-1-1.noarch, p2-1-1.noarch, and 2 more") {
		t.Errorf("the problem is %q", got)
	}
}
