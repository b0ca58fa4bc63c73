// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
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
	r := runner{sys: sys, models: []*Model{NewModel()}, present: []string{"A", "B"}, loss: h.Loss}
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
	sys     System
	models  []*Model // what may have happened; one unless an answer was lost
	truth   Installed
	present []string // keys in rpm's keyring
	loss    uint64
	amid    Act // what happens while the next package is unpacked

	lost     bool // a transaction was cut short since the last comparison
	meddled  bool // another program acted since the last comparison
	ever     bool // or at any time: a power cut may bring back what it did
	cut      bool // the power is cut in this act
	tampered int
	counter  uint64
}

// always holds whatever happens.
func (r *runner) always() error {
	if n := r.sys.Counter(); n < r.counter {
		return wrong("the counter fell from %d to %d", r.counter, n)
	} else {
		r.counter = n
	}
	if early := r.sys.Early(); early != "" {
		return wrong("too early: %s", early)
	}
	if effect, _ := r.sys.Fired(); effect == "" && !r.meddled && !r.lost {
		if list := r.sys.Loose(); list != "" {
			return wrong("a power cut could undo what became of the list of %s, though it was answered", list)
		}
	}
	n := r.sys.Tampered()
	if n > r.tampered && !r.meddled {
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
	p, _ := named(a.What)
	r.sys.Arm(a.Fault, r.loss)
	defer r.sys.Arm(Fault{}, 0)
	r.cut = a.Kind == PowerOf || a.Fault.Kind == PowerAt
	switch a.Kind {
	case Install, Failing, Cut, Lost:
		return r.install(p, a.Kind, a.Fault.Kind != NoFault)
	case Erase:
		return r.erase(p)
	case Sneak:
		r.truth = r.truth.With(p)
		return r.compare() // what watches rpm's database asks for that
	case Vanish:
		r.truth = r.truth.Without(p)
		return r.compare()
	case Delete, Alter, Plant:
		r.meddle(a.Kind, p)
		return nil
	case Compare:
		return r.compare()
	case Restart:
		if err := r.sys.Stop(); err != nil && !errors.Is(err, ErrCrashed) {
			return err
		}
		return r.restart()
	case Kill, PowerOf:
		r.sys.Crash(a.Kind == PowerOf, r.loss)
		return r.restart()
	case Drop, Import:
		return r.keyring(a.Kind, a.What)
	}
	if kind, amid := strings.CutPrefix(string(a.Kind), Amid); amid {
		r.amid = Act{Kind: Kind(kind), What: a.What}
		return nil
	}
	return r.administer(a.Kind, a.What, p)
}

// restart starts the System again, and lets it compare.
func (r *runner) restart() error {
	r.sys.Arm(Fault{}, 0)
	r.meddled = r.meddled || r.cut && r.ever
	if err := r.sys.Start(); err != nil {
		return wrong("cannot start again: %v", err)
	}
	return r.compare()
}

// compare lets the System compare its lists with what is installed. What it left
// then must be what a model wants. A fault may keep it from its end, not for ever.
func (r *runner) compare() error {
	err := r.sys.Compare(slices.Clone(r.truth))
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
		m.Installed = slices.Clone(r.truth)
		m.Compare()
	}
	rule, list := r.models[0].Difference(dir)
	err = r.expect(func(m *Model) bool { rule, _ := m.Difference(dir); return rule == "" }, cmp.Or(rule, "%s"), list)
	r.models = distinct(r.models)
	if err == nil {
		err = r.always()
		r.meddled, r.lost = false, false
	}
	return err
}

// distinct drops models that know the same.
func distinct(models []*Model) (few []*Model) {
	if len(models) < 2 {
		return models
	}
	seen := map[string]bool{}
	for _, m := range models {
		if text := fmt.Sprint(m.Installed, m.keys, m.lines, m.denials, m.contents, m.unsigned); !seen[text] {
			seen[text] = true
			few = append(few, m)
		}
	}
	return few
}

// ---- transactions ----

func (r *runner) install(p Package, kind Kind, faulty bool) error {
	amid := r.amid
	r.amid = Act{}
	gone := r.truth.Replaced(p)
	verdict, err := r.sys.Begin([]Package{p}, gone)
	if errors.Is(err, ErrCrashed) {
		return r.goOn(p, kind)
	}
	if verdict == Refused {
		return r.expect(func(m *Model) bool { return m.Refused(p) }, "%s is refused, and nothing speaks against it", p)
	}
	if err := r.expect(func(m *Model) bool { return !m.Refused(p) }, "%s may come, which is denied or older than what was here", p); err != nil {
		return err
	}
	verdict, err = r.sys.Unpack(p)
	if errors.Is(err, ErrCrashed) {
		return r.goOn(p, kind)
	}
	if effect, _ := r.sys.Fired(); effect == "" {
		if err := r.unpacked(p, verdict, err); err != nil {
			return err
		}
	}
	if amid.Kind != "" && !faulty && verdict != Refused {
		about, _ := named(amid.What)
		if amid.Kind == TakeGrant && verdict == Listed && about.List() == p.List() {
			amid.Kind = "" // it is in use
		}
	}
	if amid.Kind != "" && !faulty && verdict != Refused {
		about, _ := named(amid.What)
		if err := r.administer(amid.Kind, amid.What, about); err != nil {
			return fmt.Errorf("amid that, %s: %w", amid, err)
		}
	}
	switch {
	case verdict == Refused:
	case kind == Failing:
		if err = r.sys.Failed(p); err == nil {
			err = r.takenBack(p)
		}
	default:
		r.truth = r.truth.With(p)
		if err = r.sys.Put(p); err == nil {
			err = r.removed(p, gone)
		}
	}
	if errors.Is(err, ErrCrashed) {
		return r.restart()
	}
	effect, _ := r.sys.Fired()
	if err != nil && effect == "" {
		return err
	}
	if kind == Cut || kind == Lost || err != nil {
		if err := r.sys.Lose(); errors.Is(err, ErrCrashed) {
			return r.restart()
		}
		if kind == Lost && err == nil && effect == "" {
			r.lost = true
			return nil
		}
		return r.compare()
	}
	if verdict == Refused || kind == Failing {
		return r.end(nil, nil)
	}
	return r.end([]Package{p}, gone)
}

// takenBack sees that a package which failed to unpack has no list any more, unless it
// is installed already.
func (r *runner) takenBack(p Package) error {
	contents := r.sys.Directory()[p.List()]
	own := slices.ContainsFunc(contents, func(c int) bool { return c != shared && slices.Contains(p.Contents, c) })
	if effect, _ := r.sys.Fired(); own && effect == "" && !r.truth.Has(p) {
		return wrong("%s failed to unpack, and its list is there", p)
	}
	return nil
}

// goOn is what a package manager does when nobody answers any more.
func (r *runner) goOn(p Package, kind Kind) error {
	if kind != Failing {
		r.truth = r.truth.With(p)
	}
	return r.restart()
}

// unpacked holds the answer about a package to the models.
func (r *runner) unpacked(p Package, verdict Verdict, err error) error {
	if err != nil {
		return wrong("no answer about %s: %v", p, err)
	}
	switch verdict {
	case Refused:
		return r.expect(func(m *Model) bool { return !m.vouched(p) }, "%s is refused, though somebody vouches for it", p)
	case Unlisted:
		return r.expect(func(m *Model) bool { return !m.Listed(p) }, "%s gets no list, and nothing speaks against one", p)
	}
	contents, there := r.sys.Directory()[p.List()]
	if !there {
		return wrong("%s is said to have a list, and has none", p)
	}
	// A list may lack what is no longer denied until the next comparison.
	return r.expect(func(m *Model) bool { return m.Listed(p) && len(contents) > 0 && subset(contents, m.left(p)) },
		"%s has a list of contents %v, which it must not have", p, contents)
}

// removed tells that packages are gone, whose lists must go before it is answered.
func (r *runner) removed(p Package, gone []Package) error {
	for _, g := range gone {
		if err := r.sys.Gone(g); err != nil {
			if effect, _ := r.sys.Fired(); effect != "" && !errors.Is(err, ErrCrashed) {
				continue // the end will say so
			}
			return err
		}
		effect, _ := r.sys.Fired()
		contents, there := r.sys.Directory()[g.List()]
		// Of another build of that version nothing was said.
		if there && g.List() != p.List() && effect == "" && subset(contents, g.Contents) && len(contents) > 0 {
			return wrong("%s is gone, and its list is not", g)
		}
	}
	return nil
}

func (r *runner) erase(p Package) error {
	if !r.truth.Has(p) {
		return nil
	}
	_, err := r.sys.Begin(nil, []Package{p})
	if !errors.Is(err, ErrCrashed) {
		err = r.removed(Package{}, []Package{p})
	}
	r.truth = r.truth.Without(p)
	if errors.Is(err, ErrCrashed) {
		return r.restart()
	}
	if err != nil {
		return err
	}
	return r.end(nil, []Package{p})
}

// end ends a transaction that brought and took packages.
func (r *runner) end(came, gone []Package) error {
	err := r.sys.End()
	if errors.Is(err, ErrCrashed) {
		return r.restart()
	}
	if effect, _ := r.sys.Fired(); effect != "" || err != nil {
		if effect == "" {
			return wrong("cannot end a transaction: %v", err)
		}
		r.sys.Arm(Fault{}, 0)
		return r.compare() // as digestd does of itself
	}
	for _, m := range r.models {
		m.Installed = m.Installed.Without(gone...)
		m.Installed = append(m.Installed, came...)
		m.ended(came, gone)
	}
	return r.allowed()
}

// allowed sees that no list is there that was forbidden before.
func (r *runner) allowed() error {
	dir := r.sys.Directory()
	if list := r.models[0].Forbidden(dir); list != "" && !r.meddled && len(r.models) == 1 {
		return wrong("the list of %s is there, though what vouched for it does not any more", list)
	}
	return nil
}

func (m *Model) ended(came, gone []Package) {
	for _, g := range gone {
		l := m.lines[g.Name]
		_, stood := l.standing[g.Version]
		if stood && !slices.ContainsFunc(came, func(p Package) bool { return p.Name == g.Name && p.Version == g.Version }) {
			delete(l.standing, g.Version)
			l.retired = max(l.retired, g.Version)
			m.lines[g.Name] = l
		}
	}
	for _, p := range came {
		if m.Listed(p) {
			m.activate(p)
		}
	}
}
