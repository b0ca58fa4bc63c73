// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/sim/imaged"
	"github.com/digestd/digestd/daemon/sim/story"
)

// mirror is a System that does what the Model says, by a Model of its own. A fault comes
// before a call does anything. What a test puts into slips is done wrong.
type mirror struct {
	m         *Model
	installed Installed
	kept      map[string][]int // lists that were replaced, while keep-old is on
	turns     [2]turn
	at        int // of turns
	fault     Fault
	fired     string
	within    func()
	day       int
	image     imaged.Image
	signed    map[string]string // by whom
	slips
}

// turn is a transaction of a mirror.
type turn struct {
	unpacked, came, gone Installed
	unlisted             map[string]bool
}

// slips are the mistakes of a mirror. The zero value has none.
type slips struct {
	forgets  func(*Model)                                 // at each start
	shows    func(map[string][]int)                       // changes what the directory is seen to hold
	decides  func(m *Model, p Package, v Verdict) Verdict // changes the answer about a transaction
	answers  func(m *Model, p Package, v Verdict) Verdict // and that about a package
	fails    func(call string) error                      // a call that fails, and has done its work
	counter  func() uint64
	tampered func() int
	signs    func(list, by string) string // by whom, instead of by
	drops    bool                         // what keep-old is to keep
	hastes   bool                         // lists go for advisories before their day
}

func newMirror(s slips) *mirror {
	return &mirror{m: NewModel(), kept: map[string][]int{}, image: imaged.New(), signed: map[string]string{}, slips: s}
}

func (s *mirror) Arm(f Fault, _ uint64) { s.fault, s.fired = f, "" }

func (s *mirror) Fired() (string, int) { return s.fired, 0 }

// effect is one effect of a call, before which the fault may come.
func (s *mirror) effect(call string) error {
	if s.fault.Kind != NoFault {
		if s.fault.After > 0 {
			s.fault.After--
		} else {
			kind := s.fault.Kind
			s.fault, s.fired = Fault{}, "commit"
			if kind == ErrorAt {
				return errors.New("no space is left")
			}
			s.Crash(kind == PowerAt, 0)
			return ErrCrashed
		}
	}
	if s.fails != nil {
		return s.fails(call)
	}
	return nil
}

// does is a call that changes the model.
func (s *mirror) does(call string, change func(*Model)) error {
	if err := s.effect(call); err != nil {
		return err
	}
	change(s.m)
	return nil
}

func (s *mirror) Begin(added, _ []Package) (v Verdict, err error) {
	s.turns[s.at] = turn{unlisted: map[string]bool{}}
	if err := s.effect("begin"); errors.Is(err, ErrCrashed) {
		return v, err // that it cannot be recorded keeps no transaction from going on
	}
	for _, p := range added {
		if s.m.Refused(p) {
			v = Refused
		}
		if s.decides != nil {
			v = s.decides(s.m, p, v)
		}
	}
	return v, nil
}

func (s *mirror) Unpack(p Package) (v Verdict, err error) {
	s.making(p)
	t := &s.turns[s.at]
	if err := s.effect("unpack"); errors.Is(err, ErrCrashed) {
		return v, err
	} else if err != nil {
		t.unlisted[p.List()] = true
		return v, err
	}
	if s.m.Listed(p) {
		v = Listed
	}
	if s.answers != nil {
		v = s.answers(s.m, p, v)
	}
	if t.unlisted[p.List()] = v != Listed; v == Listed {
		t.unpacked = append(t.unpacked, p)
		delete(s.kept, p.List())
	}
	return v, nil
}

// making is the instant in which a list is made for a package.
func (s *mirror) making(p Package) {
	if fn := s.within; fn != nil && s.m.Listed(p) {
		s.within = nil
		fn()
	}
}

func (s *mirror) Failed(p Package) error {
	err := s.effect("failed")
	s.turns[s.at].unpacked = s.turns[s.at].unpacked.Without(p)
	return err
}

func (s *mirror) Put(p Package) error {
	s.installed = append(s.installed.Without(p), p)
	s.turns[s.at].came = append(s.turns[s.at].came, p)
	return nil
}

func (s *mirror) Gone(p Package) error {
	contents, listed := s.Directory()[p.List()]
	s.installed = s.installed.Without(p)
	t := &s.turns[s.at]
	t.gone = append(t.gone, p)
	replaced := slices.ContainsFunc(t.came, func(q Package) bool { return q.Name == p.Name && q.Version != p.Version })
	if delete(s.kept, p.List()); s.m.kept.on && replaced && listed && !s.drops {
		s.kept[p.List()], s.m.kept.lists[p.List()] = contents, true
	}
	return s.effect("gone")
}

func (s *mirror) End() error {
	if err := s.effect("end"); err != nil {
		return err
	}
	t := s.turns[s.at]
	s.turns[s.at] = turn{}
	s.m.Installed = append(s.m.Installed.Without(t.gone...), t.came...)
	s.m.ended(t.came, t.gone, t.unlisted)
	return nil
}

func (s *mirror) Lose() error {
	s.turns[s.at] = turn{}
	return s.effect("lose")
}

// leaves ends a process. What it could not write is no error: it shows afterwards.
func (s *mirror) leaves(call string) error {
	err := s.effect(call)
	if s.fired != "" && !errors.Is(err, ErrCrashed) {
		return nil
	}
	return err
}

func (s *mirror) HandOver() error { return s.leaves("hand over") }

func (s *mirror) Wait() error      { return s.effect("wait") }
func (s *mirror) Switch()          { s.at = 1 - s.at }
func (s *mirror) Within(fn func()) { s.within = fn }

func (s *mirror) Revoke(key string) error {
	return s.does("revoke", func(m *Model) {
		k := m.keys[key]
		k.revoked = true
		m.keys[key] = k
	})
}

func (s *mirror) Restore(key string) error {
	return s.does("restore", func(m *Model) {
		owner, _ := strings.CutSuffix(key, Subkey)
		if k := m.keys[key]; !k.itself || m.keys[owner].absent {
			k.revoked = false
			m.keys[key] = k
		}
	})
}

func (s *mirror) Keys(present []Certificate) error {
	return s.does("keys", func(m *Model) {
		for _, key := range []string{"A", "B", "C"} {
			k := m.keys[key]
			i := slices.IndexFunc(present, func(c Certificate) bool { return c.Key == key })
			k.revoked = k.revoked || i < 0 && !k.absent
			if k.absent = i < 0; !k.absent {
				k.expires = present[i].Expires
			}
			m.keys[key] = k
			if sub, has := m.keys[story.SubkeyOf(key)]; has && i >= 0 {
				sub.revoked, sub.itself = sub.revoked || present[i].Retracted, present[i].Retracted
				m.keys[story.SubkeyOf(key)] = sub
			}
		}
	})
}

func denialOf(r Range) string { return fmt.Sprintf("%s<%d", r.Name, r.Below) }

func (s *mirror) Deny(r Range) error {
	return s.does("deny", func(m *Model) { m.denials[denialOf(r)] = r })
}

func (s *mirror) Lift(r Range) error {
	return s.does("lift", func(m *Model) { delete(m.denials, denialOf(r)) })
}

func (s *mirror) DenyContent(c int) error {
	return s.does("deny content", func(m *Model) { m.contents[c] = true })
}

func (s *mirror) LiftContent(c int) error {
	return s.does("lift content", func(m *Model) { delete(m.contents, c) })
}

func (s *mirror) SetFloor(r Range) error {
	return s.does("floor", func(m *Model) { m.SetFloor(r.Name, r.Below) })
}

func (s *mirror) ClearFloor(name string) error {
	return s.does("clear floor", func(m *Model) { m.SetFloor(name, 0) })
}

func (s *mirror) Grant(p Package) error {
	return s.does("grant", func(m *Model) { m.Grant(p) })
}

func (s *mirror) TakeGrant(p Package) error {
	return s.does("take grant", func(m *Model) { m.TakeGrant(p) })
}

func (s *mirror) Unsigned(allow bool) error {
	return s.does("unsigned", func(m *Model) { m.unsigned = allow })
}

func (s *mirror) KeepOld(on bool) error {
	return s.does("keep old", func(m *Model) { m.kept.on = on })
}

func (s *mirror) Ban(c int) error {
	return s.does("ban", func(m *Model) { m.banned[c] = true })
}

func (s *mirror) Police(floor, denial Range) error {
	return s.does("police", func(m *Model) { m.policed = policed{floor, denial, true} })
}

func (s *mirror) PoliceGone() error {
	return s.does("police gone", func(m *Model) { m.policed.there = false })
}

func (s *mirror) PoliceForget() error {
	return s.does("police forget", func(m *Model) {
		if !m.policed.there {
			m.policed = policed{}
		}
	})
}

func (s *mirror) Advise(repository string, lacking Range) error {
	return s.does("advise", func(m *Model) { m.advice.hears(repository, lacking) })
}

func (s *mirror) ForgetAdvice(repository string) error {
	return s.does("forget advice", func(m *Model) { clear(m.advice.said[repository]) })
}

func (s *mirror) Look() error {
	return s.does("look", func(m *Model) {
		dir := s.Directory()
		may, must := m.due(s.day, dir)
		if s.hastes {
			may, must = nil, slices.Sorted(maps.Keys(m.advice.noted))
		}
		gone := slices.Concat(must, may)[:min(len(may)+len(must), m.room(s.day))]
		m.looked(s.day, dir, gone)
	})
}

func (s *mirror) Own(name string, content int) error {
	return s.does("own", func(m *Model) { m.publishOwn(name, content) })
}

func (s *mirror) OwnRemove(name string) error {
	return s.does("own remove", func(m *Model) { delete(m.own, name) })
}

func (s *mirror) SetClock(day int)     { s.day = day; s.m.expire(day) }
func (s *mirror) Expiry(withdraw bool) { s.m.timed.withdraw = withdraw }
func (s *mirror) Rotate() error        { return s.effect("rotate") }
func (s *mirror) Order(Package) error  { return s.effect("order") }
func (s *mirror) Prefetch(bool) error  { return s.effect("prefetch") }

func (s *mirror) Compare(in Installed) error {
	before := s.Directory()
	s.installed, s.turns = in, [2]turn{}
	for _, p := range in {
		s.making(p)
	}
	if err := s.effect("compare"); err != nil {
		return err
	}
	s.m.expire(s.day)
	s.m.Installed = slices.Clone(in)
	s.m.Compare()
	s.sign(before)
	return nil
}

// sign signs lists in a comparison. Those of before stand if their contents are the same, and who
// signed them is trusted.
func (s *mirror) sign(before map[string][]int) {
	signed := map[string]string{}
	for list, contents := range s.Directory() {
		old, stood := before[list]
		switch {
		case stood && slices.Equal(old, contents) && (s.signed[list] != ByBuilder || s.m.builder.Stands()):
			signed[list] = cmp.Or(s.signed[list], ByMachine)
		case s.image.Counts(s.m.builder, list, contents):
			signed[list] = ByBuilder
		default:
			signed[list] = ByMachine
		}
	}
	s.signed = signed
}

func (s *mirror) Image(p Package, by string) error {
	s.image.Lay(p, by)
	return nil
}

func (s *mirror) Builder(how string) error {
	return s.does("builder", func(m *Model) { m.builder.Becomes(how) })
}

func (s *mirror) Signed() map[string]string {
	signed := map[string]string{}
	for list := range s.Directory() {
		if s.signs != nil {
			s.signed[list] = s.signs(list, s.signed[list])
		}
		if !strings.HasPrefix(list, OwnList("")) {
			signed[list] = s.signed[list]
		}
	}
	return signed
}

func (s *mirror) Stop() error { return s.leaves("stop") }

func (s *mirror) Crash(power bool, _ uint64) {
	if s.turns = [2]turn{}; power {
		s.Reboot()
	}
}

func (s *mirror) Start() error {
	if s.forgets != nil {
		s.forgets(s.m)
	}
	if s.fails != nil {
		return s.fails("start")
	}
	return nil
}

func (s *mirror) Reboot() {
	clear(s.kept)
	clear(s.m.kept.lists)
}

func (s *mirror) Copy() {}

func (s *mirror) Boot() {
	s.Reboot()
	s.m.booted.Boot(s.installed)
}

func (s *mirror) Retained(refuse bool) error {
	return s.does("retained", func(m *Model) { m.booted.Refuse = refuse })
}

func (s *mirror) Directory() map[string][]int {
	there := slices.Concat(s.installed, s.turns[0].unpacked, s.turns[1].unpacked)
	m := *s.m
	m.Installed = there
	dir := m.Directory()
	for list, contents := range s.kept {
		if _, wanted := dir[list]; !wanted {
			if _, may := s.m.mayHold(list, contents); may {
				dir[list] = contents
			}
		}
	}
	if s.shows != nil {
		s.shows(dir)
	}
	return dir
}

func (s *mirror) Tampered() int {
	if s.tampered != nil {
		return s.tampered()
	}
	return 0
}

func (s *mirror) Counter() (uint64, uint64) {
	if s.counter != nil {
		n := s.counter()
		return n, n
	}
	return 0, 0
}

func (s *mirror) Loose() string        { return "" }
func (s *mirror) Early() string        { return "" }
func (s *mirror) Astray() string       { return "" }
func (s *mirror) Enforced(bool) string { return "" }
func (s *mirror) Surplus() string      { return "" }
func (s *mirror) Guard(string) error   { return s.effect("guard") }
func (s *mirror) Delete(Package) error { return nil }
func (s *mirror) Alter(Package) error  { return nil }
func (s *mirror) Plant(Package) error  { return nil }

// mirrored is how many histories a mirror lives through.
const mirrored = 300

// TestModelAgrees: of a System that does everything right, the model has no objection,
// whatever history it lives through, and whatever fails in it.
func TestModelAgrees(t *testing.T) {
	kinds := map[Kind]bool{}
	for seed := range uint64(mirrored) {
		h := WithImage(WithGuard(Draw(seed), seed), seed)
		for _, a := range h.Acts {
			kinds[a.Kind] = true
		}
		if err := Run(h, newMirror(slips{})); err != nil {
			short := Shrink(h, func(h History) bool { return SameKind(err, Run(h, newMirror(slips{}))) })
			t.Fatalf("seed %d: %v; shortest:\n%s", seed, Run(short, newMirror(slips{})), short)
		}
	}
	for _, kind := range story.Drawn() {
		if !kinds[kind] {
			t.Errorf("no history has %q", kind)
		}
	}
}

// TestModelObjects: the model sees each mistake, and says what is wrong.
func TestModelObjects(t *testing.T) {
	once := func(call string, err error) func(string) error {
		return func(c string) error {
			if c == call {
				return err
			}
			return nil
		}
	}
	keeps := func(list string, contents ...int) func(map[string][]int) {
		return func(dir map[string][]int) {
			if dir[list] == nil {
				dir[list] = contents
			}
		}
	}
	broken := errors.New("broken")
	falls := func() func() uint64 {
		n := uint64(5)
		return func() uint64 { n--; return n }
	}
	app := story.Packages()[0] // app-1.0.noarch
	for name, c := range map[string]struct {
		slips
		history, want string
	}{
		"a denial is forgotten over a restart": {slips{forgets: func(m *Model) { clear(m.denials) }},
			"install app-1.0.noarch\ndeny app<0\nrestart", "the list of app-1.noarch must not be there"},
		"a revocation is forgotten in a crash": {slips{forgets: func(m *Model) { m.keys["A"] = keyState{} }},
			"install app-1.0.noarch\nrevoke A\nkill", "the list of app-1.noarch must not be there"},
		"a floor is forgotten": {slips{forgets: func(m *Model) { clear(m.lines); maps.Copy(m.lines, NewModel().lines) }},
			"install app-1.0.noarch\nfloor app<3\nrestart\ninstall app-2.0.noarch", "the list of app-1.noarch must not be there"},
		"an older system is refused": {slips{forgets: func(m *Model) { m.booted.Refuse = true }},
			"install app-1.0.noarch\ndeploy copy\ninstall app-2.0.noarch\ndeploy boot", "the list of app-1.noarch is not there"},
		"an older system is not refused": {slips{forgets: func(m *Model) { m.booted.Refuse = false }},
			"retained refuse\ninstall app-1.0.noarch\ndeploy copy\ninstall app-2.0.noarch\ndeploy boot", "the list of app-1.noarch must not be there"},
		"what was refused comes by another system": {slips{forgets: func(m *Model) { m.booted.Boot(nil) }},
			"install app-2.0.noarch\nsneak app-1.0.noarch\ndeploy copy\ndeploy boot", "the list of app-1.noarch must not be there"},
		"a floor does not hold in another system": {slips{forgets: func(m *Model) { m.SetFloor("app", 0) }},
			"install app-1.0.noarch\ndeploy copy\ninstall app-2.0.noarch\nfloor app<2\ndeploy boot", "the list of app-1.noarch must not be there"},
		"a builder counts again after a restart": {slips{forgets: func(m *Model) { m.builder = imaged.Builder{} }},
			"imaged\nimage app-1.0.noarch=builder\nbuilder revoke\nrestart\nsneak app-1.0.noarch", "whose certificate does not count"},
		"a list is signed by a stranger": {slips{signs: func(string, string) string { return ByStranger }},
			"imaged\nimage app-1.0.noarch=stranger\nsneak app-1.0.noarch", "is signed by a stranger"},
		"a list of another build is taken": {slips{signs: func(string, string) string { return ByBuilder }},
			"imaged\nimage app-2.1.noarch=builder\nsneak app-2.0.noarch", "the image has no such list"},
		"a list of the image is not taken": {slips{signs: func(string, string) string { return ByMachine }},
			"imaged\nimage app-1.0.noarch=builder\nsneak app-1.0.noarch", "was made anew, though the image has it"},
		"a list stays though its key is revoked": {slips{shows: keeps(app.List(), app.Contents...)},
			"install app-1.0.noarch\nrevoke A", "what vouched for it does not any more"},
		"a list stays though its content is denied": {slips{shows: func(dir map[string][]int) {
			if list := dir["free-1.noarch"]; list != nil && !slices.Contains(list, story.Shared) {
				dir["free-1.noarch"] = append(slices.Clone(list), story.Shared)
			}
		}}, "unsigned allow\ninstall free-1.0.noarch\ndeny-content 1", "what vouched for it does not any more"},
		"an own list stays": {slips{shows: keeps(OwnList("site"), 100)}, "own site=100\nown-remove site", "what vouched for it does not any more"},
		"a list is missing": {slips{shows: func(dir map[string][]int) { delete(dir, "tool-1.x86_64") }},
			"install tool-1.0.x86_64", "is said to have a list, and has none"},
		"a list is not made by a comparison": {slips{shows: func(dir map[string][]int) { delete(dir, "tool-1.x86_64") }},
			"sneak tool-1.0.x86_64", "the list of tool-1.x86_64 is not there"},
		"a list has too little": {slips{shows: func(dir map[string][]int) {
			if dir[app.List()] != nil {
				dir[app.List()] = []int{story.Shared}
			}
		}}, "install app-1.0.noarch", "other contents than it must have"},
		"a list has too much": {slips{shows: func(dir map[string][]int) {
			if dir[app.List()] != nil {
				dir[app.List()] = []int{story.Shared, 7}
			}
		}}, "install app-1.0.noarch", "which it must not have"},
		"a list of an erased package stays": {slips{shows: keeps(app.List(), app.Contents...)},
			"install app-1.0.noarch\nerase app-1.0.noarch", "is gone, and its list is not"},
		"a list of a package that failed stays": {slips{shows: keeps(app.List(), app.Contents...)},
			"failing app-1.0.noarch", "failed to unpack, and its list is there"},
		"keep-old keeps nothing": {slips{drops: true}, "keep-old on\ninstall app-1.0.noarch\ninstall app-2.0.noarch", "is replaced, and its list does not stay"},
		"a rollback comes": {slips{decides: func(*Model, Package, Verdict) Verdict { return Unlisted }},
			"install app-2.0.noarch\ninstall app-1.0.noarch", "may come, which is denied or older"},
		"one of two transactions at once is a rollback": {slips{decides: func(*Model, Package, Verdict) Verdict { return Unlisted }},
			"install app-2.0.noarch\nboth tool-1.0.x86_64,app-1.0.noarch", "may come, which is denied or older"},
		"nothing may come": {slips{decides: func(*Model, Package, Verdict) Verdict { return Refused }},
			"install app-1.0.noarch", "is refused, and nothing speaks against it"},
		"a package is refused": {slips{answers: func(*Model, Package, Verdict) Verdict { return Refused }},
			"install app-1.0.noarch", "is refused, though somebody vouches for it"},
		"a package gets no list": {slips{answers: func(*Model, Package, Verdict) Verdict { return Unlisted }},
			"install app-1.0.noarch", "gets no list, and nothing speaks against one"},
		"no answer comes":               {slips{fails: once("unpack", broken)}, "install app-1.0.noarch", "no answer about app-1.0.noarch: broken"},
		"a transaction does not end":    {slips{fails: once("end", broken)}, "install app-1.0.noarch", "cannot end a transaction: broken"},
		"a transaction is not taken":    {slips{fails: once("hand over", broken)}, "hand-over app-1.0.noarch", "cannot take a transaction over: broken"},
		"a comparison fails":            {slips{fails: once("compare", broken)}, "compare", "cannot compare: broken"},
		"it does not start again":       {slips{fails: once("start", broken)}, "kill", "cannot start again: broken"},
		"it does not stop":              {slips{fails: once("stop", broken)}, "reboot", "broken"},
		"an act is refused":             {slips{fails: once("deny", broken)}, "deny app<0", "refused, though it would change something: broken"},
		"an act within is refused":      {slips{fails: once("deny", broken)}, "within-deny app<0\ninstall tool-1.0.x86_64", "within that"},
		"an act amid is refused":        {slips{fails: once("deny", broken)}, "amid-deny app<0\ninstall tool-1.0.x86_64", "amid that"},
		"a fact is refused after all":   {slips{fails: once("keys", broken)}, "drop A @kill:0", "told again: broken"},
		"the counter falls":             {slips{counter: falls()}, "compare\ncompare", "the counter fell from"},
		"something is called tampering": {slips{tampered: func() int { return 1 }}, "compare", "no other program did anything"},
	} {
		h, err := ParseHistory(c.history)
		if err != nil {
			t.Fatal(err)
		}
		if err := Run(h, newMirror(slips{})); err != nil {
			t.Errorf("%s: without the mistake: %v", name, err)
		}
		if err := Run(h, newMirror(c.slips)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestSameKind(t *testing.T) {
	one, same, other := wrong("the list of %s", "a"), fmt.Errorf("act 3: %w", wrong("the list of %s", "b")), wrong("the counter fell")
	if !SameKind(one, same) || SameKind(one, other) || SameKind(one, errors.New("the list of a")) || SameKind(nil, one) {
		t.Error("failures of one kind are those of one rule")
	}
}
