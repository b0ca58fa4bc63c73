// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/godbus/dbus/v5"
)

func TestGuardMethods(t *testing.T) {
	b := &stub{guard: api.Guard{Mode: "audit", Wanted: "enforce", Counts: api.GuardCounts{Missed: 5, Refused: 2}}}
	_, private := serve(t, b)
	p := connect(t, private)
	var g api.Guard
	if err := api.Decode(p.must("Guard")[0].(api.Dict), &g); err != nil || g.Wanted != "enforce" || g.Counts.Missed != 5 {
		t.Errorf("%+v, %v", g, err)
	}
	var st api.Status
	if err := api.Decode(p.must("Status")[0].(api.Dict), &st); err != nil || st.Guard.Mode != "audit" {
		t.Errorf("%+v, %v", st.Guard, err)
	}
	for _, why := range [][]any{{"Why", "/a"}, {"WhyBytes", []byte("/a")}, {"WhyContent", []byte("/a"), []byte{}, true, "", []byte{}, []byte{}, []byte{}}} {
		var w api.Why
		if err := api.Decode(p.must(why[0].(string), why[1:]...)[0].(api.Dict), &w); err != nil || w.Guard.Text != "judged /a" {
			t.Errorf("%s: %+v, %v", why[0], w.Guard, err)
		}
	}
	if out := p.must("GuardDenials", uint32(0), uint32(2)); len(out[0].([]api.Dict)) != 2 || out[1] != uint32(3) {
		t.Errorf("%d of %v denials, want 2 of 3", len(out[0].([]api.Dict)), out[1])
	}
	p.must("GuardSwitch", "enforce", uint64(time.Minute), []string{"force"}, "why")
	p.must("GuardSwitch", "enforce", uint64(math.MaxUint64), []string{"confirm", "checked"}, "")
	p.must("GuardExempt", "/lxc", []string{"force"}, "ours")
	p.must("GuardExempt", "/lxc", []string{"end"}, "")
	digest := strings.Repeat("ab", 32)
	p.must("GuardLearn", "learned", []string{digest}, "")
	until(t, "it was learned", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.changes) == 5 })
	want := []string{
		"GuardSwitch {Mode:enforce Trial:1m0s Confirm:false Force:true Checked:false Reason:why}",
		"GuardSwitch {Mode:enforce Trial:" + time.Duration(math.MaxInt64).String() + " Confirm:true Force:false Checked:true Reason:}",
		"GuardExempt {Group:/lxc End:false Force:true Reason:ours}",
		"GuardExempt {Group:/lxc End:true Force:false Reason:}",
		"GuardLearn learned 1",
	}
	for i := range want {
		if b.changes[i] != want[i] {
			t.Errorf("the backend heard %q, want %q", b.changes[i], want[i])
		}
	}
	for _, args := range [][]any{
		{"GuardSwitch", "enforce", uint64(0), []string{"now"}, ""},
		{"GuardExempt", "/lxc", []string{"now"}, ""},
		{"GuardExempt", strings.Repeat("x", 513), []string{}, ""},
		{"GuardSwitch", "en\nforce", uint64(0), []string{}, ""},
		{"GuardSwitch", "enforce", uint64(0), []string{}, strings.Repeat("a", 1025)},
		{"GuardDenials", uint32(0), uint32(api.MaxPage + 1)},
		{"GuardCandidates", uint32(0), uint32(api.MaxPage + 1)},
		{"GuardLearn", "learned", []string{}, ""},
		{"GuardLearn", "learned", make([]string, api.MaxLearn+1), ""},
		{"GuardLearn", "learned", []string{digest[:62]}, ""},
		{"GuardLearn", "learned", []string{digest, "../../etc/shadow"}, ""},
		{"GuardLearn", strings.Repeat("a", 1025), []string{digest}, ""},
	} {
		p.refused("InvalidArgument", args[0].(string), args[1:]...)
	}
	if len(b.changes) != len(want) {
		t.Errorf("what was refused reached the backend: %v", b.changes)
	}
}

// The counts of the guard can be read, and are not announced: it changes with each use of a
// file.
func TestGuardProperties(t *testing.T) {
	b := &stub{guard: api.Guard{Mode: "enforce", Wanted: "enforce", Counts: api.GuardCounts{Missed: 5, Refused: 2}}}
	s, private := serve(t, b)
	p := connect(t, private)
	get := func(name string) any {
		t.Helper()
		v, err := p.conn.Object(api.BusName, api.Path).GetProperty(api.Interface + "." + name)
		if err != nil {
			t.Fatal(err)
		}
		return v.Value()
	}
	if get("GuardMode") != "enforce" || get("GuardRefused") != uint64(2) || get("GuardMissed") != uint64(5) {
		t.Errorf("%v, %v, %v", get("GuardMode"), get("GuardRefused"), get("GuardMissed"))
	}
	signals := p.listen()
	b.mu.Lock()
	b.guard.Counts.Refused, b.status.Counter = 3, 7
	b.mu.Unlock()
	s.Changed()
	changed := next(t, signals, propertiesName+".PropertiesChanged").Body[1].(map[string]dbus.Variant)
	if _, ok := changed["Counter"]; !ok || len(changed) != 1 {
		t.Errorf("announced %v", changed)
	}
	b.mu.Lock()
	b.guard = api.Guard{Mode: api.GuardOff, Wanted: api.GuardOff}
	b.mu.Unlock()
	if get("GuardMode") != "off" {
		t.Error(get("GuardMode"))
	}
}
