// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
)

// ladder holds versions in rpm's order; rung 0 is none.
var ladder = []nevra.EVR{
	{},
	{Version: "1.0~rc1", Release: "1"},
	{Version: "1.0", Release: "1"},
	{Version: "1.0^20240101", Release: "1"},
	{Version: "1.9", Release: "1"},
	{Version: "1.10", Release: "1"},
	{Version: "1.10", Release: "1.1"},
	{Epoch: 1, Version: "0.1", Release: "1"},
}

// names are two packages and one of which several versions live side by side.
var names = []string{"bash", "vim", "kernel"}

const kernel = 2

// op is something that happens to the machine.
type op struct {
	kind    string
	targets []target // installed in one transaction; others have one
	replace bool     // kernel: what is there goes, as with rpm -U
	stale   bool     // the counter that is offered is one of long ago
	commit  bool
}

type target struct{ name, rung int }

func (o op) String() string {
	s := o.kind
	for _, t := range o.targets {
		s += fmt.Sprintf(" %s-%d", names[t.name], t.rung)
	}
	if o.replace {
		s += " (replacing)"
	}
	if o.stale {
		s += " (stale counter)"
	}
	if !o.commit {
		s += ", not committed"
	}
	return s
}

var opKinds = []string{"install", "install", "install", "install", "remove", "grant", "grant", "revoke", "floor", "unfloor", "deny", "lift", "sync", "crash"}

func randomOp(r *rand.Rand) op {
	o := op{kind: opKinds[r.IntN(len(opKinds))], replace: r.IntN(3) == 0, stale: r.IntN(10) == 0, commit: r.IntN(4) > 0}
	if o.kind == "crash" || o.kind == "sync" {
		return op{kind: o.kind, commit: true}
	}
	for _, name := range r.Perm(len(names))[:1+r.IntN(2)] {
		o.targets = append(o.targets, target{name, 1 + r.IntN(len(ladder)-1)})
		if o.kind != "install" {
			o.replace, o.stale = false, false
			break
		}
	}
	return o
}

// world is a machine: lines as digestd keeps them, and the model of each.
type world struct {
	mode    policy.Mode
	counter uint64
	lines   []policy.Line
	models  []history
}

func newWorld(m policy.Mode) world {
	w := world{mode: m, lines: make([]policy.Line, len(names)), models: make([]history, len(names))}
	w.lines[kernel].Multi, w.models[kernel].multi = true, true
	return w
}

// saved is what a commit makes durable. Lines are values; the histories must
// not grow into each other.
func (w world) saved() world {
	w.lines = slices.Clone(w.lines)
	w.models = slices.Clone(w.models)
	for i := range w.models {
		w.models[i].acts = slices.Clone(w.models[i].acts)
	}
	return w
}

// play runs ops on a fresh machine. The error is the first thing that is wrong.
func play(m policy.Mode, ops []op) error {
	live := newWorld(m)
	durable := live.saved()
	for i, o := range ops {
		if o.kind == "crash" {
			if err := live.lawful(); err != nil {
				return fmt.Errorf("before %d, %v: %w", i+1, o, err)
			}
			live = durable.saved()
			if err := live.agree(); err != nil {
				return fmt.Errorf("after %d, %v: %w", i+1, o, err)
			}
			continue
		}
		before := live.saved()
		err := live.happen(o)
		if err == nil {
			err = live.agree()
		}
		if err == nil {
			err = live.notLowerThan(before)
		}
		if err == nil {
			err = live.notLowerThan(durable)
		}
		if err != nil {
			return fmt.Errorf("at %d, %v: %w", i+1, o, err)
		}
		if o.commit {
			durable = live.saved()
		}
	}
	return live.lawful()
}

func (w *world) note(name int, kind actKind, rung int) {
	w.models[name].acts = append(w.models[name].acts, act{kind, rung})
}

func (w *world) happen(o op) error {
	if o.kind == "install" {
		return w.install(o)
	}
	if o.kind == "sync" {
		return w.sync()
	}
	name, rung := o.targets[0].name, o.targets[0].rung
	e := ladder[rung]
	l := &w.lines[name]
	switch o.kind {
	case "remove":
		if !w.models[name].active(rung) {
			return nil
		}
		*l = l.Retire(e)
		w.note(name, withdrawn, rung)
	case "grant":
		*l = l.AddGrant(e)
		w.note(name, granted, rung)
	case "revoke":
		*l = l.RemoveGrant(e)
		w.note(name, revoked, rung)
	case "floor":
		*l = l.SetFloor(e)
		w.note(name, floorSet, rung)
	case "unfloor":
		*l = l.ClearFloor()
		w.note(name, floorCleared, 0)
	case "deny":
		l.Denials = []policy.Denial{{ID: "d", Package: policy.Range{Name: names[name], Below: e}}}
		w.note(name, denied, rung)
	case "lift":
		l.Denials = nil
		w.note(name, lifted, 0)
	}
	return nil
}

// install is a transaction: all of it or, with a veto, nothing.
func (w *world) install(o op) error {
	var elements []policy.Element
	for _, t := range o.targets {
		elements = append(elements, policy.Element{Type: policy.Added, NEVRA: nevra.NEVRA{Name: names[t.name], EVR: ladder[t.rung], Arch: "noarch"}})
	}
	decisions := policy.AdmitTransaction(w.mode, elements, func(pkg nevra.NEVRA) policy.Line {
		return w.lines[slices.Index(names, pkg.Name)]
	})
	veto := false
	for i, t := range o.targets {
		want := w.models[t.name].judge(t.rung)
		if got := decisions[i].Reason; got != want {
			return fmt.Errorf("%s-%d: %q, the model says %q", names[t.name], t.rung, got, want)
		}
		verdict := policy.Allow
		switch {
		case want.Rollback():
			verdict = refusal[w.mode]
		case want == policy.ReasonDenied && w.mode == policy.Enforce:
			verdict = policy.Veto
		case want == policy.ReasonDenied:
			verdict = policy.WithholdList
		}
		if got := decisions[i].Verdict; got != verdict {
			return fmt.Errorf("%s-%d: %v for %q", names[t.name], t.rung, got, want)
		}
		veto = veto || verdict == policy.Veto
	}
	if veto {
		return nil
	}
	for i, t := range o.targets {
		l := &w.lines[t.name]
		if decisions[i].Verdict == policy.Allow {
			next := w.counter + 1
			if o.stale {
				next = min(next, 1)
			}
			w.counter = max(w.counter, next)
			*l = l.Activate(ladder[t.rung], next)
			if !o.stale && l.Counter != next {
				return fmt.Errorf("%s-%d has number %d, not %d", names[t.name], t.rung, l.Counter, next)
			}
			w.note(t.name, activated, t.rung)
		}
		for rung := range ladder {
			if rung != t.rung && (o.replace || t.name != kernel) && w.models[t.name].active(rung) {
				*l = l.Retire(ladder[rung])
				w.note(t.name, withdrawn, rung)
			}
		}
	}
	return nil
}

// sync withdraws what may not be active any more, as a reconciliation does.
func (w *world) sync() error {
	for name := range w.lines {
		for _, a := range slices.Clone(w.lines[name].Active) {
			rung := slices.Index(ladder, a.EVR)
			want := w.models[name].judge(rung)
			d := policy.Admit(w.mode, w.lines[name], nevra.NEVRA{Name: names[name], EVR: a.EVR, Arch: "noarch"})
			if d.Reason != want {
				return fmt.Errorf("%s-%d: %q, the model says %q", names[name], rung, d.Reason, want)
			}
			if d.Verdict == policy.Allow || d.Reason == policy.ReasonDenied {
				continue // what is denied is suspended: it stays what it was
			}
			w.lines[name] = w.lines[name].Retire(a.EVR)
			w.note(name, withdrawn, rung)
		}
		for _, a := range w.lines[name].Active {
			if rung := slices.Index(ladder, a.EVR); w.mode != policy.Audit && rung < w.models[name].floor() && !w.models[name].byGrant(rung) && !w.models[name].permitted(rung) &&
				!w.models[name].denied(rung) {
				return fmt.Errorf("%s-%d is active below the floor, without a newer grant", names[name], rung)
			}
		}
	}
	return nil
}

// agree compares lines with what the model makes of the history.
func (w *world) agree() error {
	for name, l := range w.lines {
		h := w.models[name]
		var got, want []string
		for _, a := range l.Active {
			got = append(got, fmt.Sprintf("active %d by grant %v", slices.Index(ladder, a.EVR), a.Granted))
		}
		for _, g := range l.Grants {
			got = append(got, fmt.Sprintf("grant %d", slices.Index(ladder, g)))
		}
		got = append(got, fmt.Sprintf("floor %d", slices.Index(ladder, l.Floor)))
		for rung := range ladder {
			if h.active(rung) {
				want = append(want, fmt.Sprintf("active %d by grant %v", rung, h.byGrant(rung)))
			}
			if h.permitted(rung) {
				want = append(want, fmt.Sprintf("grant %d", rung))
			}
		}
		want = append(want, fmt.Sprintf("floor %d", h.floor()))
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			return fmt.Errorf("%s has %v, the model %v", names[name], got, want)
		}
	}
	return nil
}

// lawful looks for crimes in all that happened.
func (w *world) lawful() error {
	if w.mode == policy.Audit {
		return nil
	}
	for name, h := range w.models {
		if err := h.unlawful(len(ladder) - 1); err != nil {
			return fmt.Errorf("%s: %w", names[name], err)
		}
	}
	return nil
}

func (w *world) notLowerThan(before world) error {
	for name, l := range w.lines {
		b := before.lines[name]
		if l.Counter < b.Counter {
			return fmt.Errorf("the counter of %s fell from %d to %d", names[name], b.Counter, l.Counter)
		}
		if slices.Index(ladder, l.High) < slices.Index(ladder, b.High) || slices.Index(ladder, l.Retired) < slices.Index(ladder, b.Retired) {
			return fmt.Errorf("%s remembers %v and %v, no longer %v and %v", names[name], l.High, l.Retired, b.High, b.Retired)
		}
	}
	return nil
}

// In any order of events, nothing that was superseded comes back without a grant, a grant
// serves once, of floor and grant the newer act wins, and no counter falls.
func TestNothingComesBack(t *testing.T) {
	const sequences, length = 3000, 40
	seed := rand.Uint64()
	if s := os.Getenv("DIGESTD_TEST_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("DIGESTD_TEST_SEED=%d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for n := range sequences {
		mode := []policy.Mode{policy.Enforce, policy.Withhold, policy.Enforce, policy.Withhold, policy.Audit}[n%5]
		ops := make([]op, length)
		for i := range ops {
			ops[i] = randomOp(r)
		}
		if err := play(mode, ops); err != nil {
			ops = shrink(ops, func(ops []op) bool { return play(mode, ops) != nil })
			t.Fatalf("%v: %v\n%s", mode, play(mode, ops), trace(ops))
		}
	}
}

// shrink leaves out all without which it still fails.
func shrink(ops []op, fails func([]op) bool) []op {
	for again := true; again; {
		again = false
		for i := len(ops) - 1; i >= 0; i-- {
			if fewer := slices.Delete(slices.Clone(ops), i, i+1); fails(fewer) {
				ops, again = fewer, true
			}
		}
	}
	return ops
}

func trace(ops []op) string {
	var b strings.Builder
	for i, o := range ops {
		fmt.Fprintf(&b, "%3d %v\n", i+1, o)
	}
	return b.String()
}

// The judge must be able to convict: a history with a crime in it is found out.
func TestModelFindsCrimes(t *testing.T) {
	for name, tc := range map[string]struct {
		history
		lawful bool
	}{
		"downgrade":                   {history{false, []act{{activated, 2}, {activated, 1}}}, false},
		"downgrade, granted":          {history{false, []act{{activated, 2}, {granted, 1}, {activated, 1}}}, true},
		"downgrade, another granted":  {history{false, []act{{activated, 3}, {granted, 1}, {activated, 2}}}, false},
		"downgrade, revoked":          {history{false, []act{{activated, 2}, {granted, 1}, {revoked, 1}, {activated, 1}}}, false},
		"a grant used twice":          {history{false, []act{{activated, 2}, {granted, 1}, {activated, 1}, {withdrawn, 1}, {activated, 1}}}, false},
		"reinstalled under one grant": {history{false, []act{{activated, 2}, {granted, 1}, {activated, 1}, {activated, 1}}}, true},
		"denied":                      {history{false, []act{{denied, 2}, {activated, 1}}}, false},
		"denied below it":             {history{false, []act{{denied, 2}, {activated, 2}}}, true},
		"denied, lifted":              {history{false, []act{{denied, 2}, {lifted, 0}, {activated, 1}}}, true},
		"denied, granted":             {history{false, []act{{denied, 2}, {granted, 1}, {activated, 1}}}, false},
		"below the floor":             {history{false, []act{{floorSet, 2}, {activated, 1}}}, false},
		"below the floor, cleared":    {history{false, []act{{floorSet, 2}, {floorCleared, 0}, {activated, 1}}}, true},
		"grant before floor":          {history{false, []act{{granted, 1}, {floorSet, 2}, {activated, 1}}}, false},
		"grant after floor":           {history{false, []act{{floorSet, 2}, {granted, 1}, {activated, 1}}}, true},
		"kernel beside a newer":       {history{true, []act{{activated, 2}, {activated, 1}}}, true},
		"kernel that was retired":     {history{true, []act{{activated, 1}, {activated, 2}, {withdrawn, 1}, {activated, 1}}}, false},
	} {
		if err := tc.unlawful(len(ladder) - 1); (err == nil) != tc.lawful {
			t.Errorf("%s %v: %v", name, tc.acts, err)
		}
	}
}
