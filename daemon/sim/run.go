// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/digestd/digestd/daemon/sim/imaged"
	"github.com/digestd/digestd/daemon/sim/story"
)

// Failure is something that must not be. Rule tells failures of one kind from
// those of another.
type Failure struct {
	Rule string
	text string
}

func (f *Failure) Error() string { return f.text }

func wrong(rule string, args ...any) error {
	return &Failure{Rule: rule, text: fmt.Sprintf(rule, args...)}
}

// SameKind reports whether a and b are failures of one kind.
func SameKind(a, b error) bool {
	var f, g *Failure
	if errors.As(a, &f) && errors.As(b, &g) {
		return f.Rule == g.Rule
	}
	return false
}

// Run carries a history out on a System that was just started for an empty
// machine. It returns the first thing that must not be, with the act after which
// it was.
func Run(h History, sys System) error {
	r := runner{sys: sys, models: []*Model{NewModel()}, present: []Certificate{{Key: "A"}, {Key: "B"}}, absent: []Certificate{{Key: "C"}}, loss: h.Loss, coming: coming{unlisted: map[string]bool{}}}
	if h.Imaged {
		r.image = imaged.New()
	}
	for i, a := range h.Acts {
		if err := r.step(a); err != nil {
			return fmt.Errorf("act %d, %s: %w", i+1, a, err)
		}
		if err := r.always(); err != nil {
			return fmt.Errorf("after act %d, %s: %w", i+1, a, err)
		}
	}
	if err := r.compare(); err != nil {
		return fmt.Errorf("in the end: %w", err)
	}
	return r.always()
}

type runner struct {
	sys    System
	models []*Model // what may have happened; one unless an answer was lost
	truth  Installed
	ground
	present []Certificate // in rpm's keyring
	absent  []Certificate
	loss    uint64
	day     int // by the clock
	coming
	trouble
	tampered int
	counter  uint64
}

// coming is what happens in the midst of a later act.
type coming struct {
	amid     Act             // while the next package is unpacked
	awaited  bool            // and a comparison waits for that
	within   Act             // while the next list is made
	handed   bool            // the transaction under way began under the process before
	unlisted map[string]bool // lists that packages did not get by the answer
}

// trouble is what is not as it is at rest.
type trouble struct {
	faulty  bool // something fails in this act, or may
	cut     bool // the power is cut in this act, or may be
	off     bool // it was cut by the act itself
	lost    bool // a transaction was cut short since the last comparison
	stale   bool // a system was booted since, in which lists are as they were left
	strange bool // and some of them by the builder of an image who does not count any more
	meddled bool // another program acted since the last comparison
	ever    bool // or at any time: a power cut may bring back what it did
}

// always holds whatever happens.
func (r *runner) always() error {
	if n, durable := r.sys.Counter(); n < r.counter || n < durable {
		return wrong("the counter fell from %d to %d", max(r.counter, durable), n)
	} else {
		r.counter = durable
	}
	if early := r.sys.Early(); early != "" {
		return wrong("too early: %s", early)
	}
	if effect, _ := r.sys.Fired(); effect == "" && !r.meddled && !r.lost {
		if list := r.sys.Loose(); list != "" {
			return wrong("a power cut could undo what became of the list of %s, though it was answered", list)
		}
	}
	if effect, _ := r.sys.Fired(); effect == "" && !r.meddled && !r.lost {
		if differs := r.sys.Enforced(false); differs != "" {
			return wrong("the guard differs from the lists: %s", differs)
		}
	}
	n := r.sys.Tampered()
	if n > r.tampered && !r.meddled && !r.strange {
		return wrong("something is called tampering, and no other program did anything")
	}
	r.tampered = n
	return nil
}

// expect keeps the models of which holds is true.
func (r *runner) expect(holds func(*Model) bool, format string, args ...any) error {
	left := slices.DeleteFunc(slices.Clone(r.models), func(m *Model) bool { return !holds(m) })
	if len(left) == 0 {
		return wrong(format, args...)
	}
	r.models = left
	return nil
}

func (r *runner) step(a Act) error {
	r.loss = r.loss*6364136223846793005 + 1442695040888963407
	p, _ := story.Named(a.What)
	r.sys.Arm(a.Fault, r.loss)
	defer r.sys.Arm(Fault{}, 0)
	r.cut = a.Kind == PowerOf || a.Fault.Kind == PowerAt
	r.faulty = a.Fault.Kind != NoFault
	if r.faulty || !slices.Contains(steady, a.Kind) {
		defer r.unsure()
	}
	switch a.Kind {
	case Install, Failing, Cut, Lost, HandOver:
		return r.install(p, a.Kind)
	case Look:
		return r.look()
	case Both:
		return r.both(a.What)
	case Clock:
		r.day, _ = strconv.Atoi(a.What)
		r.sys.SetClock(r.day)
		return r.compare() // what waits for the time asks for that
	case Erase:
		return r.erase(p)
	case Guard:
		if err := r.sys.Guard(a.What); errors.Is(err, ErrCrashed) {
			return r.restart()
		}
		return nil
	case Sneak:
		r.truth = r.truth.With(p)
		return r.compare() // what watches rpm's database asks for that
	case Vanish:
		r.truth = r.truth.Without(p)
		return r.compare()
	case Delete, Alter, Plant:
		return r.meddle(a.Kind, p)
	case Compare:
		return r.compare()
	case Image:
		return r.lay(a.What)
	case Builder:
		return r.build(a.What)
	case Deploy:
		return r.deploy(a)
	case Expiry:
		for _, m := range r.models {
			m.timed.withdraw = a.What == "withdraw"
		}
		r.sys.Expiry(a.What == "withdraw")
		fallthrough
	case Restart, Reboot:
		if err := r.sys.Stop(); err != nil && !errors.Is(err, ErrCrashed) {
			return err
		}
		if a.Kind == Reboot {
			r.sys.Reboot()
			r.rebooted()
		}
		return r.restart()
	case Kill, PowerOf:
		r.off = a.Kind == PowerOf
		defer func() { r.off = false }()
		r.sys.Crash(a.Kind == PowerOf, r.loss)
		return r.restart()
	}
	if kind, within := strings.CutPrefix(string(a.Kind), Within); within {
		r.within = Act{Kind: Kind(kind), What: a.What}
		return nil
	}
	for _, prefix := range []string{Amid, Awaited} {
		if kind, amid := strings.CutPrefix(string(a.Kind), prefix); amid {
			r.amid, r.awaited = Act{Kind: Kind(kind), What: a.What}, prefix == Awaited
			return nil
		}
	}
	return r.administer(a.Kind, a.What, p)
}

// unsure enters that the time until lists go for advisories may have begun anew.
func (r *runner) unsure() {
	for _, m := range r.models {
		m.advice.unsure()
	}
}

// restart starts the System again, and lets it compare.
func (r *runner) restart() error {
	if err := r.start(); err != nil {
		return err
	}
	return r.compare()
}

// start starts the System again. After a power cut the machine has started anew.
func (r *runner) start() error {
	r.meddled = r.meddled || r.cut && r.ever
	if effect, _ := r.sys.Fired(); r.off || r.cut && effect != "" {
		r.rebooted()
	}
	r.sys.Arm(Fault{}, 0)
	if err := r.sys.Start(); err != nil {
		return wrong("cannot start again: %v", err)
	}
	if r.meddled || r.stale {
		return nil // the comparison notices
	}
	// The comparison may not come for long: rpm's database cannot be read, for example.
	if surplus := r.sys.Surplus(); surplus != "" {
		return wrong("after a start, before a comparison: %s", surplus)
	}
	return nil
}

// rebooted enters that the machine has started anew.
func (r *runner) rebooted() {
	for _, m := range r.models {
		m.kept.lists = map[string]bool{}
	}
}

// compare lets the System compare its lists with what is installed. The result must match a
// model. A fault may keep it from its end, not for ever.
func (r *runner) compare() error {
	certain := !r.faulty && r.within.Kind == "" && !r.meddled && !r.stale && !r.lost
	var before map[string][]int
	if r.image.There() {
		before = r.sys.Directory()
	}
	unhook := r.hook()
	err := r.sys.Compare(slices.Clone(r.truth))
	if herr := unhook(); herr != nil {
		return herr
	}
	if errors.Is(err, ErrCrashed) {
		return r.restart()
	}
	if effect, _ := r.sys.Fired(); effect != "" {
		r.sys.Arm(Fault{}, 0)
		err = r.sys.Compare(slices.Clone(r.truth))
	}
	if err != nil {
		return wrong("cannot compare: %v", err)
	}
	dir := r.sys.Directory()
	for _, m := range r.models {
		m.expire(r.day)
		m.Installed = slices.Clone(r.truth)
	}
	r.models = doubtful(r.models)
	for _, m := range r.models {
		m.Compare()
	}
	rule, list := r.models[0].Difference(dir)
	if rule != "" || len(r.models) > 1 {
		err = r.expect(func(m *Model) bool { rule, _ := m.Difference(dir); return rule == "" }, cmp.Or(rule, "%s"), list)
	}
	r.models = distinct(r.models)
	if err == nil {
		err = r.signatures(before, certain)
	}
	if err == nil {
		err = r.always()
		r.meddled, r.lost, r.stale, r.strange = false, false, false, false
	}
	if astray := r.sys.Astray(); astray != "" && err == nil {
		err = wrong("at rest, astray: %s", astray)
	}
	if differs := r.sys.Enforced(true); differs != "" && err == nil {
		err = wrong("at rest, the guard differs from the lists: %s", differs)
	}
	return err
}

// distinct drops models that know the same.
func distinct(models []*Model) (few []*Model) {
	if len(models) < 2 {
		return models
	}
	for _, m := range models {
		if !slices.ContainsFunc(few, m.same) {
			few = append(few, m)
		}
	}
	return few
}
