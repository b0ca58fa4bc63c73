// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"testing"

	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// A number is of the version that it was given to, and of its package: of several versions, the
// lowest. A name that is not that of a list has none.
func TestNewOrder(t *testing.T) {
	o := NewOrder(map[string]uint32{"tlv-hello-0:1-1.noarch": 7, "tlv-hello-0:2-1.noarch": 3, "tlv-kernel-0:1-1.noarch": 5,
		"tlv-nonsense": 1, "": 2}, []string{"kernel*"})
	for name, want := range map[string]string{
		"hello-1-1.noarch":  "7-tlv-hello-0:1-1.noarch",
		"hello-2-1.noarch":  "3-tlv-hello-0:2-1.noarch",
		"hello-9-1.noarch":  "3-tlv-hello-0:9-1.noarch",
		"hello-9-1.x86_64":  "tlv-hello-0:9-1.x86_64",
		"kernel-1-1.noarch": "5-tlv-kernel-0:1-1.noarch",
		"kernel-2-1.noarch": "tlv-kernel-0:2-1.noarch",
	} {
		pkg := parse(t, name)
		list, err := digestlist.PackageName(digestlist.FormatTLV, pkg)
		if err != nil {
			t.Fatal(err)
		}
		if got := o.NameOf(list, pkg, false); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// renamed is hello as it is to be found under another name.
func (w *world) renamed(seq uint32) state.InstalledPackage {
	p := w.fresh("hello-1-1.noarch", "")
	p.Fresh.Name = digestlist.Sequenced(seq, p.Fresh.Name)
	return p
}

func TestMoveList(t *testing.T) {
	w := newWorld(t)
	w.install("hello-1-1.noarch", "")
	before := w.entry(hello1)
	var r Reconciled
	found := []state.InstalledPackage{w.renamed(4)}
	w.must(func() error { w.Apply(found, &r); return nil })
	if e, old := w.entry("4-"+hello1), w.entry(hello1); e.Counter != before.Counter || old.Change != record.Moving || old.Next != e.Name {
		t.Errorf("the new one is %+v, the old one %+v", e.List, old.List)
	}
	if w.ByHeader[before.Header] != w.entry("4-"+hello1) {
		t.Error("its header leads to the old name")
	}
	w.must(func() error { w.Settled(found, &r, nil); return nil })
	w.want("moved", "intent\npublish 4-"+hello1+" from new hello-1-1.noarch\nsync 4-"+hello1+"\nrecord")
	w.agree()
}

// A list that cannot be published under its new name keeps the old one.
func TestMoveFails(t *testing.T) {
	w := newWorld(t)
	w.install("hello-1-1.noarch", "")
	before := w.entry(hello1)
	w.fail["publish 4-"+hello1] = errDisk
	if r := w.compare(w.renamed(4)); r.Failed != 1 {
		t.Errorf("it is %+v", r.SyncResult)
	}
	if w.entry(hello1) != before || len(w.ByName) != 1 {
		t.Errorf("there is %v", w.ByName)
	}
	w.agree()
}

// A list that must not stay, or is not there, takes its history to its new name, where it
// is decided about.
func TestRenameList(t *testing.T) {
	for name, tc := range map[string]struct {
		prepare func(w *world, p *state.InstalledPackage)
		want    record.State
	}{
		"broken":            {func(w *world, p *state.InstalledPackage) { w.mark(w.entry(hello1)); delete(w.files, hello1) }, record.Active},
		"not to be trusted": {func(w *world, p *state.InstalledPackage) { w.Unsigned = policy.UnsignedWithhold }, record.Active},
		"withheld from now": {func(w *world, p *state.InstalledPackage) {
			p.Fresh.Staged = record.Staged{}
			p.Fresh.Vouch = policy.Decision{Verdict: policy.WithholdList, Reason: policy.ReasonUnknownKey}
		}, record.Withheld},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.install("hello-1-1.noarch", "")
			p := w.renamed(4)
			w.must(func() error { tc.prepare(w, &p); return nil })
			w.told()
			w.compare(p)
			if e := w.entry("4-" + hello1); e.State != tc.want || w.ByName[hello1] != nil || e.Counter == 0 {
				t.Errorf("it is %+v", e.List)
			}
			w.agree()
		})
	}
}

// A list that had the new name before, or whose new name is not its own, does not move.
func TestStaysWhereItIs(t *testing.T) {
	w := newWorld(t)
	w.install("hello-1-1.noarch", "")
	p := w.fresh("hello-1-1.noarch", "")
	p.Fresh.Name = "tlv-another-0:1-1.noarch"
	var r Reconciled
	w.must(func() error { w.moveLists([]state.InstalledPackage{p, stands(p.Fresh)}, &r); return nil })
	w.want("moved", "")
	if e := w.entry(hello1); e.Change != "" || len(w.ByName) != 1 {
		t.Errorf("it is %+v", e.List)
	}
}

func TestLoadOrder(t *testing.T) {
	w := newWorld(t)
	if err := w.loadOrder(map[string][]byte{metaOrder: []byte(`{"tlv-hello-0:1-1.noarch":3}`), metaPrefetch: {1}}); err != nil {
		t.Fatal(err)
	}
	if !w.Prefetch || w.Order.Lines[view.LineID{Name: "hello", Arch: "noarch"}] != 3 {
		t.Errorf("the order is %+v", w.Order)
	}
	if err := w.loadOrder(map[string][]byte{metaOrder: []byte("{")}); err == nil {
		t.Error("an order that cannot be read is none")
	}
}
