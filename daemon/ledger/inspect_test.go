// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store/record"
)

// see is what an inspection finds of the list of a package that is installed.
func (w *world) see(name string) state.Seen {
	e := w.entry(name)
	return state.Seen{Expected: w.Expects(name), Stamp: record.Stamp{Ino: 99, Regular: true, Links: 1}, File: e.File, Body: e.Body}
}

// The treatment of a list of digestd that is not as it was published.
func TestInspectedList(t *testing.T) {
	const aside = "set aside " + hello1 + "\nsync\nrecord\ntampered tampered\nsignal tampered " + hello1 + ": "
	for name, tc := range map[string]struct {
		change  func(w *world, x *state.Seen)
		happens string
		broken  bool
		again   bool // it stays, and is made anew
	}{
		"another stamp": {change: func(w *world, x *state.Seen) {}},
		"gone": {change: func(w *world, x *state.Seen) { x.Missing = true }, broken: true,
			happens: "sync\nrecord\ntampered tampered\nsignal tampered " + hello1 + ": removed from the list directory by something other than digestd"},
		"gone, never seen": {change: func(w *world, x *state.Seen) {
			x.Missing, x.Entry = true, w.changed(func(e *view.Entry) { e.Stamp = record.Stamp{} })
		}, broken: true, happens: "sync"},
		"gone, it moves": {change: func(w *world, x *state.Seen) {
			x.Missing, x.Entry = true, w.changed(func(e *view.Entry) { e.Change = record.Moving })
		}, happens: "sync"},
		"not looked at": {change: func(w *world, x *state.Seen) { x.Err = errDisk }, happens: "sync"},
		"not read":      {change: func(w *world, x *state.Seen) { x.Read = errDisk }, again: true, happens: "sync"},
		"no file":       {change: func(w *world, x *state.Seen) { x.Stamp.Regular = false }, broken: true, happens: aside + "not a regular file"},
		"a second name": {change: func(w *world, x *state.Seen) { x.Stamp.Links = 2 }, broken: true,
			happens: aside + "has a second hard link, through which it can be changed"},
		"no list":         {change: func(w *world, x *state.Seen) { x.Odd = "too short" }, broken: true, happens: aside + "too short"},
		"another content": {change: func(w *world, x *state.Seen) { x.File = sum("x") }, broken: true, happens: aside + "content is not what was published"},
		"another content while it was made": {change: func(w *world, x *state.Seen) {
			x.File, x.Entry = sum("x"), w.changed(func(e *view.Entry) { e.Change = record.Publishing })
		}, broken: true, again: true, happens: "sync"},
		"its files unknown": {change: func(w *world, x *state.Seen) {
			x.Entry = w.changed(func(e *view.Entry) { e.Refs = nil })
		}, broken: true, happens: aside + "its files cannot be read"},
		"its files read": {change: func(w *world, x *state.Seen) {
			x.Entry, x.Refs = w.changed(func(e *view.Entry) { e.Refs = nil }), &view.Refs{}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.install("hello-1-1.noarch", "")
			x := w.see(hello1)
			tc.change(w, &x)
			if tc.happens == "" {
				tc.happens = "sync"
			}
			w.must(func() error {
				if n := w.Inspected([]state.Seen{x}); n != 0 {
					t.Errorf("%d strangers", n)
				}
				w.Sync()
				w.Record()
				return nil
			})
			w.want("inspected", tc.happens)
			e := w.entry(hello1)
			if e.Broken != tc.broken || (e.Change == record.Publishing) != tc.again {
				t.Errorf("broken: %v, change %q", e.Broken, e.Change)
			}
			if w.Anew != (tc.broken || tc.again) {
				t.Errorf("made anew: %v", w.Anew)
			}
			if tc.happens == "sync" && !tc.broken && !tc.again && !x.Missing && x.Err == nil && (e.Stamp != x.Stamp || e.Refs == nil) {
				t.Errorf("its stamp is %+v", e.Stamp)
			}
		})
	}
}

// changed replaces the entry of hello, and returns it.
func (w *world) changed(change func(*view.Entry)) *view.Entry {
	e := *w.entry(hello1)
	change(&e)
	w.Put(&e)
	return &e
}

// The treatment of a file of others, and the reason.
func TestInspectedStranger(t *testing.T) {
	const name = "tlv-strange"
	aside := func(why string) string {
		return "set aside " + name + "\nsync\nrecord\ntampered tampered\nsignal tampered " + name + ": " + why
	}
	const removed = "withdraw " + name + "\nsync"
	for what, tc := range map[string]struct {
		seen            state.Seen
		signer          string
		want, unsettled string // what happens, also where something was cut short
	}{
		"gone":          {seen: state.Seen{Missing: true}, want: "sync", unsettled: "sync"},
		"not looked at": {seen: state.Seen{Err: errDisk}, want: aside("the disk refuses"), unsettled: aside("the disk refuses")},
		"no file":       {seen: state.Seen{Stamp: record.Stamp{}}, want: aside("not a regular file"), unsettled: aside("not a regular file")},
		"not read":      {seen: state.Seen{Stamp: stampOf(""), Read: errDisk}, want: aside("the disk refuses"), unsettled: removed},
		"no list":       {seen: state.Seen{Stamp: stampOf(""), Odd: "too short"}, want: aside("too short"), unsettled: aside("too short")},
		"torn":          {seen: state.Seen{Stamp: stampOf(""), Torn: true}, want: aside("another program put it there"), unsettled: removed},
		"ours":          {seen: state.Seen{Stamp: stampOf(""), Signed: true}, want: aside("signed by this machine, but not a current list"), unsettled: removed},
		"not ours":      {seen: state.Seen{Stamp: stampOf("")}, want: aside("another program put it there"), unsettled: aside("another program put it there")},
		"unsigned":      {seen: state.Seen{Stamp: stampOf("")}, signer: SignNone, want: aside("another program put it there"), unsettled: removed},
		"of a package":  {seen: state.Seen{Stamp: stampOf("")}, signer: SignPGP, want: aside("another program put it there"), unsettled: removed},
		"retired": {seen: state.Seen{Stamp: stampOf(""), Body: sum("old"), Signed: true}, unsettled: removed,
			want: aside("a retired list came back: hello-1-1.noarch was replaced on 2026-01-01 00:00:00Z")},
	} {
		for _, unsettled := range []bool{false, true} {
			w := newWorld(t)
			w.Unsettled = unsettled
			if tc.signer != "" {
				w.Signer = tc.signer
			}
			w.Retired[sum("old")] = record.Retirement{Package: parse(t, "hello-1-1.noarch"), Reason: "replaced", When: start}
			x, want := tc.seen, tc.want
			x.Expected = w.Expects(name)
			if unsettled {
				want = tc.unsettled
			}
			n := 0
			w.must(func() error { n = w.Inspected([]state.Seen{x}); w.Sync(); w.Record(); return nil })
			w.want(what, want)
			if (n == 1) != strings.HasPrefix(want, "set aside") {
				t.Errorf("%s: %d set aside", what, n)
			}
			if n == 1 && (len(w.Asides) != 1 || w.Asides[0].Name != name+".aside" || len(w.keys("aside")) != 1) {
				t.Errorf("%s: the quarantine has %+v", what, w.Asides)
			}
		}
	}
}

// A file that must go and could not is no stranger: to remove it is tried again.
func TestInspectedLeftover(t *testing.T) {
	w := newWorld(t)
	w.must(func() error { w.Leave("tlv-left", errDisk); w.Record(); return nil })
	w.told()
	w.must(func() error {
		w.Inspected([]state.Seen{{Expected: w.Expects("tlv-left"), Stamp: stampOf("")}})
		w.Record()
		return nil
	})
	w.want("inspected", "withdraw tlv-left, labels\nrecord")
	if len(w.Leftovers) > 0 {
		t.Errorf("there is left %v", w.Leftovers)
	}
}

func TestExpected(t *testing.T) {
	w := newWorld(t, func(s *state.Settings) { s.Signer = "ours" })
	for _, text := range []string{"hello-1-1.noarch", "broken-1-1.noarch", "withheld-1-1.noarch"} {
		w.install(text, "")
	}
	withheld := *w.entry("tlv-withheld-0:1-1.noarch")
	withheld.State = record.Withheld
	w.must(func() error { w.mark(w.entry("tlv-broken-0:1-1.noarch")); w.Put(&withheld); return nil })
	if all := w.Lists(); len(all) != 1 || all[0].Name != hello1 || all[0].Entry != w.entry(hello1) {
		t.Errorf("the directory has to hold %+v", all)
	}
	for name, want := range map[string]*view.Entry{hello1: w.entry(hello1), "tlv-broken-0:1-1.noarch": nil, withheld.Name: nil, "tlv-nobody": nil} {
		if got := w.Expects(name); got.Entry != want || got.Name != name {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := w.Standing("ours"); len(got) != 1 || got[sum("hello-1-1.noarch")] == nil {
		t.Errorf("there stand %v", got)
	}
	if got := w.Standing("another"); len(got) != 0 {
		t.Errorf("by another signer there stand %v", got)
	}
}
