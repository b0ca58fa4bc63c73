// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"crypto/x509"
	"encoding/hex"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store/record"
)

// own is the list app of that content, made from version base.
func (w *world) own(content string, base uint64) *OwnCandidate {
	body := sum(content)
	return &OwnCandidate{
		Record: record.Own{Name: "app", Body: body}, Request: api.OwnRequest{Name: "app", Base: base, Reason: "why"}, Keep: "/upload",
		Made: MadeList{Body: body, File: sum("file " + content), Files: 1, Signer: "ours", Staged: record.StagedAs("new "+content, 1), Basis: w.Basis, Refs: &view.Refs{}},
	}
}

// publishOwn publishes c, and returns its answer, or why not.
func (w *world) publishOwn(c *OwnCandidate) (r api.OwnResult, err error) {
	w.t.Helper()
	var refused error
	err = w.do(func() (err error) {
		r, refused, err = w.PublishOwn(c, api.Actor{UID: 7})
		w.Record()
		return err
	})
	return r, errors.Join(err, refused)
}

func (w *world) mustOwn(content string, base uint64) {
	w.t.Helper()
	if _, err := w.publishOwn(w.own(content, base)); err != nil {
		w.t.Fatal(err)
	}
	w.lines = nil
}

// ownName is the name that the file of app has.
func ownName(t *testing.T) string {
	t.Helper()
	name, err := digestlist.OwnName("app")
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// The record of an own list is durable before its file appears.
func TestPublishOwn(t *testing.T) {
	w, name := newWorld(t), ownName(t)
	r, err := w.publishOwn(w.own("one", 0))
	if err != nil || r.Version != 1 || r.List != name || r.Files != 1 || r.Replaced != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	w.want("new", `
		keep /upload as /state/own/app.1
		intent
		published own:app-0:1-1.noarch
		publish `+name+` from new one
		sync `+name+`
		record
		signal published `+name)
	w.agree()
	r, err = w.publishOwn(w.own("two", 1))
	if err != nil || r.Version != 2 || r.Replaced != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	w.want("changed", `
		keep /upload as /state/own/app.2
		intent
		published own:app-0:2-1.noarch
		publish `+name+` from new two
		sync `+name+`
		record
		signal published `+name)
	w.agree()
	if got := w.Retired[sum("one")]; got.Own != "app" || got.Version != 1 || got.Reason != "replaced" {
		t.Errorf("its body is remembered as %+v", got)
	}
	if o := w.Own["app"]; o.Version != 2 || o.Last != 2 || o.Changed.UID != 7 || o.Changed.Reason != "why" || !o.Created.Equal(start) {
		t.Errorf("the record is %+v", o)
	}
}

// A refusal leaves nothing but its entry in the log.
func TestPublishOwnRefused(t *testing.T) {
	kernel := view.BinPrefix + hex.EncodeToString(func() []byte { b := sum("two"); return b[:] }())
	for name, tc := range map[string]struct {
		change func(w *world, c *OwnCandidate)
		want   string
		log    string
	}{
		"a long reason":   {func(w *world, c *OwnCandidate) { c.Request.Reason = strings.Repeat("x", maxReason+1) }, "reason is longer than 1024 bytes", ""},
		"it exists":       {func(w *world, c *OwnCandidate) { c.Request.Base = 0 }, "exists already", ""},
		"changed":         {func(w *world, c *OwnCandidate) { c.Request.Base = 5 }, "was changed meanwhile", ""},
		"made by another": {func(w *world, c *OwnCandidate) { c.Made.Basis-- }, ErrAgain.Error(), ""},
		"its key is gone": {func(w *world, c *OwnCandidate) { c.Record.Key, c.Record.KeyKind = "aa", view.KeyPGP }, "the key that signed it, aa, is not trusted any more", ""},
		"its certificate is revoked": {func(w *world, c *OwnCandidate) {
			c.Record.Key, c.Record.KeyKind = "bb", view.KeyX509
			w.Keys = maps.Clone(w.Keys)
			w.Keys["bb"] = record.Key{Fingerprint: "bb", Revoked: &record.KeyRevocation{}}
		}, "the key that signed it, bb, is not trusted any more", ""},
		"the kernel names it": {func(w *world, c *OwnCandidate) { w.Banned = view.Ban([]string{kernel}) }, "contains this list, " + kernel, ""},
		"its package is denied": {func(w *world, c *OwnCandidate) {
			w.deny("hello")
			c.Made.Basis, c.Record.Package = w.Basis, "hello-1-1.noarch"
		}, "cannot import the list: ", ""},
		"superseded": {func(w *world, c *OwnCandidate) { c.Record.Body, c.Made.Body = sum("one"), sum("one") },
			"a newer version replaced this content: ", "record\nrollback-refused own:app-0:1-1.noarch rollback\nsignal refused own:app-0:1-1.noarch"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.mustOwn("one", 0)
			w.mustOwn("two", 1)
			c := w.own("two", 2)
			tc.change(w, c)
			before := w.memory()
			_, err := w.publishOwn(c)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("the answer is %v, want %q", err, tc.want)
			}
			w.want("refused", tc.log)
			if tc.log == "" {
				if after := w.memory(); after != before {
					t.Errorf("there is left\n%s\nof\n%s", after, before)
				}
			}
			if w.files[ownName(t)] != "new two" {
				t.Errorf("the directory has %v", w.files)
			}
			w.agree()
		})
	}
}

// A superseded content may come back if it was granted, as the version that it was, or if
// another list had it.
func TestPublishOwnBack(t *testing.T) {
	w := newWorld(t)
	w.mustOwn("one", 0)
	w.mustOwn("two", 1)
	first := OwnPackage("app", 1)
	w.must(func() error {
		l := w.Lines[view.LineOf(first)]
		l.Grants = []record.Grant{{EVR: first.EVR}}
		w.SetLine(l)
		return nil
	})
	r, err := w.publishOwn(w.own("one", 2))
	if err != nil || r.Version != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	w.agree()
	if o := w.Own["app"]; o.Version != 1 || o.Last != 2 || len(w.Lines[view.LineOf(first)].Grants) > 0 {
		t.Errorf("the record is %+v, the line %+v", o, w.Lines[view.LineOf(first)])
	}
	if _, retired := w.Retired[sum("one")]; retired {
		t.Error("its body is retired still")
	}
	r, err = w.publishOwn(w.own("three", 1))
	if err != nil || r.Version != 3 {
		t.Errorf("the next is %+v, %v", r, err)
	}
	w.must(func() error {
		w.SetRetired(record.Retirement{Body: sum("four"), Package: parse(t, "hello-1-1.noarch"), Reason: "removed"})
		return nil
	})
	if r, err = w.publishOwn(w.own("four", 3)); err != nil || r.Version != 4 {
		t.Errorf("what a package had is %+v, %v", r, err)
	}
	w.agree()
}

// A list that could not be published after its record was durable has not come to be.
func TestPublishOwnFails(t *testing.T) {
	for _, base := range []uint64{0, 1} {
		w, name := newWorld(t), ownName(t)
		if base > 0 {
			w.mustOwn("one", 0)
		}
		index := maps.Clone(w.index)
		entry, retired := w.ByName[name], len(w.Retired)
		w.fail["publish "+name] = errDisk
		if _, err := w.publishOwn(w.own("two", base)); !errors.Is(err, errDisk) {
			t.Errorf("the answer is %v", err)
		}
		if !strings.Contains(w.told(), "withdrawn own:app-0:") {
			t.Error("the log does not take back what it says")
		}
		for key, value := range w.index {
			if index[key] != value && !strings.HasPrefix(key, "log") {
				t.Errorf("there is left %s: %s, was %s", key, value, index[key])
			}
		}
		if w.ByName[name] != entry || len(w.Retired) != retired || w.Own["app"].Version != base {
			t.Errorf("memory has %v, %v", w.ByName[name], w.Own)
		}
		w.agree()
	}
}

// If the intent cannot be recorded nothing has happened.
func TestPublishOwnNotBegun(t *testing.T) {
	w := newWorld(t)
	w.mustOwn("one", 0)
	before := w.memory()
	w.fail["intent"] = errDisk
	if _, err := w.publishOwn(w.own("two", 1)); !errors.Is(err, errDisk) {
		t.Errorf("the answer is %v", err)
	}
	if after := w.memory(); after != before {
		t.Errorf("there is left\n%s\nof\n%s", after, before)
	}
	w.agree()
}

func (w *world) removeOwn(name, reason string) (gone *view.Entry, err error) {
	err = w.do(func() (err error) {
		gone, err = w.RemoveOwn(name, api.Actor{UID: 7}, reason)
		return err
	})
	return gone, err
}

func TestRemoveOwn(t *testing.T) {
	w, name := newWorld(t), ownName(t)
	w.mustOwn("one", 0)
	for want, args := range map[string][2]string{
		`there is no own list "nobody"`:    {"nobody", ""},
		"reason is longer than 1024 bytes": {"app", strings.Repeat("x", maxReason+1)},
	} {
		if _, err := w.removeOwn(args[0], args[1]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	w.fail["withdraw "+name] = errDisk
	if _, err := w.removeOwn("app", "why"); !errors.Is(err, errDisk) {
		t.Errorf("a list that resists: %v", err)
	}
	if e := w.entry(name); !e.Active() || e.Change != "" || len(w.Leftovers) > 0 || len(w.Retired) > 0 {
		t.Errorf("it is %+v", e.List)
	}
	w.agree()
	delete(w.fail, "withdraw "+name)
	w.told()
	gone, err := w.removeOwn("app", "why")
	if err != nil || gone.Name != name {
		t.Fatalf("%+v, %v", gone, err)
	}
	w.want("removed", "intent\nwithdraw "+name+"\nsync "+name+"\nrecord\nwithdrawn own:app-0:1-1.noarch removed\nsignal withdrawn "+name+": removed")
	w.agree()
	if o := w.Own["app"]; o.Removed.IsZero() || o.Last != 1 || w.Retired[sum("one")].Reason != "removed" {
		t.Errorf("the record is %+v", o)
	}
	if _, err := w.removeOwn("app", "why"); err == nil {
		t.Error("it is removed twice")
	}
	if r, err := w.publishOwn(w.own("two", 0)); err != nil || r.Version != 2 {
		t.Errorf("it is new as %+v, %v", r, err)
	}
}

// No package stands for an own list, and so none that is gone takes it away.
func TestComparisonLeavesOwn(t *testing.T) {
	w, name := newWorld(t), ownName(t)
	w.mustOwn("one", 0)
	if r := w.compare(); r.Withdrawn != 0 || w.files[name] == "" {
		t.Errorf("it is %+v", r.SyncResult)
	}
	w.agree()
}

// A removal that was cut short is completed.
func TestFinishOwn(t *testing.T) {
	w, name := newWorld(t), ownName(t)
	w.mustOwn("one", 0)
	w.must(func() error {
		e := *w.entry(name)
		e.Change = record.Removing
		w.Save(&e)
		w.Record()
		return nil
	})
	w.told()
	w.must(func() error { w.FinishOwn(); return nil })
	w.want("finished", "withdraw "+name+"\nsync "+name+"\nrecord\nwithdrawn own:app-0:1-1.noarch removed\nsignal withdrawn "+name+": removed")
	w.agree()
	w.must(func() error { w.FinishOwn(); return nil })
	w.want("once more", "")
}

// makeOwn makes what is to be made of own lists, of content, or not.
func (w *world) makeOwn(content string, failed error) (r Reconciled, n int) {
	w.t.Helper()
	var work []*OwnWork
	w.must(func() error { work = w.OwnToMake("ours"); return nil })
	for _, x := range work {
		x.Made, x.Err = w.own(content, 0).Made, failed
	}
	if err := w.do(func() error { w.ApplyOwn(work, &r); return nil }); err != nil {
		w.t.Error(err)
	}
	return r, len(work)
}

// The own lists that have to be made again, and the results.
func TestOwnMadeAnew(t *testing.T) {
	name := ownName(t)
	anew := "intent\npublish " + name + " from new one\nsync " + name + "\nrecord\nsignal published " + name
	moved := strings.ReplaceAll(anew, name, "4-"+name)
	for what, tc := range map[string]struct {
		change  func(w *world, e *view.Entry)
		failed  error
		happens string
		problem string
	}{
		"stands":          {func(w *world, e *view.Entry) {}, nil, "", ""},
		"broken":          {func(w *world, e *view.Entry) { e.Broken = true }, nil, anew, ""},
		"interrupted":     {func(w *world, e *view.Entry) { e.Change = record.Publishing }, nil, anew, ""},
		"another signer":  {func(w *world, e *view.Entry) { e.Signer = "old" }, nil, anew, ""},
		"leaves too much": {func(w *world, e *view.Entry) { e.Denied = []string{"lifted"} }, nil, anew, ""},
		"moving":          {func(w *world, e *view.Entry) { e.Broken, e.Change = true, record.Moving }, nil, "", ""},
		"leaving":         {func(w *world, e *view.Entry) { e.Broken, e.Change = true, record.Removing }, nil, "", ""},
		"another name":    {func(w *world, e *view.Entry) { w.Order = NewOrder(map[string]uint32{name: 4}, nil) }, nil, moved, ""},
		"withheld": {func(w *world, e *view.Entry) { e.State = record.Withheld }, nil,
			strings.Replace(anew, "record\n", "record\npublished own:app-0:1-1.noarch\n", 1), ""},
		"withheld, all denied": {func(w *world, e *view.Entry) { e.State = record.Withheld }, digestlist.ErrEmpty, "", ""},
		"not made": {func(w *world, e *view.Entry) { e.Broken = true }, errDisk, "",
			"1 own list could not be rebuilt, the last one: own list app: the disk refuses"},
		"not published": {func(w *world, e *view.Entry) { e.Broken = true; w.fail["publish "+name] = errDisk }, nil,
			"intent\nsync " + name, "1 own list could not be rebuilt, the last one: own list app: the disk refuses"},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			w.mustOwn("one", 0)
			w.must(func() error {
				e := *w.entry(name)
				tc.change(w, &e)
				w.Save(&e)
				w.Record()
				return nil
			})
			w.told()
			r, _ := w.makeOwn("one", tc.failed)
			w.want(what, tc.happens)
			if got := w.problem("own"); got != tc.problem || (r.OwnFailed > 0) != (tc.problem != "") {
				t.Errorf("problem %q, %d failed", got, r.OwnFailed)
			}
			if strings.Contains(tc.happens, "publish") {
				e := w.OwnEntry("app")
				if e == nil || !e.Active() || e.Broken || e.Change != "" || e.Signer != "ours" || len(e.Denied) > 0 {
					t.Errorf("it is %+v", e)
				}
				w.want("once more", "")
				if _, n := w.makeOwn("one", nil); n != 0 {
					t.Errorf("it is made anew again")
				}
			}
		})
	}
}

// A list that changed meanwhile is left alone.
func TestOwnChangedMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.mustOwn("one", 0)
	var work []*OwnWork
	w.must(func() error { w.mark(w.entry(ownName(t))); work = w.OwnToMake("ours"); return nil })
	work[0].Made = w.own("one", 0).Made
	w.told()
	var r Reconciled
	w.Basis++
	w.must(func() error { w.ApplyOwn(work, &r); return nil })
	w.want("denials changed", "")
	work[0].Made.Basis = w.Basis
	work[0].entry = &view.Entry{List: work[0].entry.List}
	w.must(func() error { w.ApplyOwn(work, &r); return nil })
	w.want("it was changed", "")
	if r.OwnFailed != 0 {
		t.Errorf("%d failed", r.OwnFailed)
	}
}

// An own list whose grounds are gone leaves the directory, and keeps its number.
func TestOwnWithheld(t *testing.T) {
	for what, change := range map[string]func(w *world){
		"its certificate": func(w *world) {
			o := w.Own["app"]
			o.Key, o.KeyKind = "bb", view.KeyX509
			w.SetOwn(o)
		},
		"its key": func(w *world) {
			o := w.Own["app"]
			o.Key, o.KeyKind = "aa", view.KeyPGP
			w.SetOwn(o)
		},
	} {
		w, name := newWorld(t), ownName(t)
		w.mustOwn("one", 0)
		w.must(func() error { change(w); w.Record(); return nil })
		w.told()
		if _, n := w.makeOwn("one", nil); n != 0 {
			t.Errorf("%s: it is made anew", what)
		}
		w.want(what, "withdraw "+name+", labels\nsync "+name+"\nrecord\nwithdrawn own:app-0:1-1.noarch key-revoked\nsignal withdrawn "+name+": key-revoked")
		if e := w.entry(name); e.State != record.Withheld || e.Version != 1 || e.Counter != 1 || len(w.Retired) > 0 {
			t.Errorf("%s: it is %+v", what, e.List)
		}
		w.agree()
		w.makeOwn("one", nil)
		w.want(what+", once more", "")
	}
}

// The certificate by which a list was imported can be revoked from then on.
func TestImporterIsMet(t *testing.T) {
	w := newWorld(t)
	cert := &x509.Certificate{Raw: []byte("a certificate")}
	c := w.own("one", 0)
	c.Importer, c.Record.Key, c.Record.KeyKind = cert, grounds.CertificateID(cert), view.KeyX509
	if _, err := w.publishOwn(c); err != nil {
		t.Fatal(err)
	}
	id := c.Record.Key
	if k := w.Keys[id]; k.Use != view.UseImport || !w.Importers[id] || w.entry(ownName(t)).Key != id {
		t.Errorf("it is %+v", k)
	}
	if !strings.Contains(w.told(), "as /state/own/app.1.imported") {
		t.Error("its body is kept as that of a list made here")
	}
	w.agree()
}

// The bodies of own lists replace a lost index, except for the signers of imported lists.
func TestOwnRestored(t *testing.T) {
	bodies := []OwnFile{
		{Path: "/state/own/app.2", Name: "app", Version: 2, Body: sum("two"), Files: 2},
		{Path: "/state/own/app.1", Name: "app", Version: 1, Body: sum("one"), Files: 1},
		{Path: "/state/own/foreign.1.imported", Name: "foreign", Version: 1, Imported: true, Body: sum("foreign")},
		{Path: "/state/own/bad.1", Name: "bad", Version: 1, Err: errDisk},
		{Path: "/state/own/a b.1", Name: "a b", Version: 1},
	}
	for _, rebuilt := range []bool{true, false} {
		w := newWorld(t)
		w.must(func() error { return w.loadOwn(nil, bodies, rebuilt) })
		if !rebuilt {
			if len(w.Own)+len(w.ByName) != 0 {
				t.Errorf("nothing was lost, and there is %v", w.Own)
			}
			continue
		}
		e := w.OwnEntry("app")
		if len(w.Own) != 1 || e == nil || e.Version != 2 || !e.Broken || e.Body != sum("two") || w.Lines[view.LineOf(e.Package)].High.Version != "2" {
			t.Fatalf("there is %+v, %+v", w.Own, e)
		}
		if r, n := w.makeOwn("two", nil); n != 1 || r.OwnFailed != 0 || w.files[e.Name] != "new two" {
			t.Errorf("%d made anew, %d failed, %v", n, r.OwnFailed, w.files)
		}
		w.agree()
	}
}
