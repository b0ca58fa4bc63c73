// SPDX-License-Identifier: Apache-2.0

package story

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// Kind is what an act is about.
type Kind string

// The kinds of acts, with what they take.
const (
	Install Kind = "install" // PACKAGE: in a transaction that is told
	Failing Kind = "failing" // PACKAGE: the same, but the package fails to unpack
	Cut     Kind = "cut"     // PACKAGE: the same, but the package manager dies after it is installed
	Lost    Kind = "lost"    // PACKAGE: the same, and other things happen before anybody looks at that
	Erase   Kind = "erase"   // PACKAGE
	Sneak   Kind = "sneak"   // PACKAGE is installed by a transaction that nobody is told of
	Vanish  Kind = "vanish"  // PACKAGE is erased by such a one

	Revoke  Kind = "revoke"  // KEY, by the administrator
	Restore Kind = "restore" // KEY
	Drop    Kind = "drop"    // KEY from rpm's keyring
	Import  Kind = "import"  // KEY into it
	Renew   Kind = "renew"   // KEY:DAY: its certificate says from now on that it expires then, 0 for never
	Retract Kind = "retract" // KEY: its certificate says from now on that its subkey is revoked
	Outdate Kind = "outdate" // KEY: an older copy of its certificate is there again, which does not say that
	Expiry  Kind = "expiry"  // withdraw or accept what a key signed that has expired: digestd is started again

	Deny        Kind = "deny" // NAME<VERSION
	Lift        Kind = "lift" // NAME<VERSION
	DenyContent Kind = "deny-content"
	LiftContent Kind = "lift-content"
	Floor       Kind = "floor"       // NAME<VERSION
	ClearFloor  Kind = "clear-floor" // NAME
	Grant       Kind = "grant"       // PACKAGE
	TakeGrant   Kind = "take-grant"  // PACKAGE
	Unsigned    Kind = "unsigned"    // allow or withhold: the configuration is loaded again
	KeepOld     Kind = "keep-old"    // on or off: a list that is replaced stays until the machine starts anew; the same

	Compare Kind = "compare"
	Rotate  Kind = "rotate" // lists are signed by another key
	Restart Kind = "restart"
	Kill    Kind = "kill"
	PowerOf Kind = "power-cut"
	Reboot  Kind = "reboot"

	// The machine has two installed systems, of which it runs one.
	Deploy   Kind = "deploy"   // copy: the other one has what this one has; boot: the machine boots the other one
	Retained Kind = "retained" // report or refuse what is older in the one that is booted: the configuration is loaded again

	Delete Kind = "delete" // another program removes the list of PACKAGE
	Alter  Kind = "alter"  // another program changes it
	Plant  Kind = "plant"  // another program puts a list for PACKAGE there

	// While a transaction is open, digestd is started again, and the next takes it over.
	HandOver Kind = "hand-over" // PACKAGE: installed so
	Both     Kind = "both"      // PACKAGE,PACKAGE: installed by two transactions at once

	DenyUntil Kind = "deny-until" // NAME<VERSION:DAY
	Clock     Kind = "clock"      // DAY: the clock is set, forwards or back
	Ban       Kind = "ban"        // CONTENT: the kernel's .blacklist names it from then on
	Order     Kind = "order"      // PACKAGE: its list is used first
	Prefetch  Kind = "prefetch"   // on or off

	Police       Kind = "police"        // NAME<VERSION+NAME<VERSION: a policy file sets that floor and denies those versions
	PoliceGone   Kind = "police-gone"   // the file goes; what it said stays
	PoliceForget Kind = "police-forget" // the administrator has that forgotten

	Advise       Kind = "advise"        // REPOSITORY:NAME<VERSION: its advisories say that these lack a fix
	ForgetAdvice Kind = "forget-advice" // REPOSITORY: the administrator has that forgotten
	Look         Kind = "look"          // at what is due by advisories

	Own       Kind = "own"        // NAME=CONTENT: the owner publishes a list of it
	OwnRemove Kind = "own-remove" // NAME

	// On a machine that started from an image.
	Image   Kind = "image"   // PACKAGE=WHO: the image has a list of it that the builder, or a stranger, signed
	Builder Kind = "builder" // revoke, restore, drop, import or ban: the certificate by which lists of an image count

	Guard Kind = "guard" // same, old, empty or away: the guard ends, see GuardSame

	// Within before a kind is that act while a list is made for the next package, after it
	// was verified and before it is published.
	Within = "within-"

	// Amid before a kind is that act while the next package that is installed is being
	// unpacked.
	Amid = "amid-"

	// Awaited before a kind is the same, while a comparison waits for the transaction to end.
	Awaited = "awaited-"
)

// Act is one step of a history.
type Act struct {
	Kind  Kind
	What  string
	Fault Fault
}

// Fault happens before the After-th effect of an act: the effect fails, the
// process is killed, or the power is cut. The zero Fault is none.
type Fault struct {
	Kind  FaultKind
	After int
}

// FaultKind is one of "", "error", "kill" and "power".
type FaultKind string

// The kinds of faults.
const (
	NoFault  FaultKind = ""
	ErrorAt  FaultKind = "error"
	KillAt   FaultKind = "kill"
	PowerAt  FaultKind = "power"
	maxAfter           = 12
)

// String is a line that [ParseHistory] reads.
func (a Act) String() string {
	s := strings.TrimSpace(string(a.Kind) + " " + a.What)
	if a.Fault.Kind != NoFault {
		s += fmt.Sprintf(" @%s:%d", a.Fault.Kind, a.Fault.After)
	}
	return s
}

// With what a guard begins that has ended.
const (
	GuardSame  = "same"  // what it held
	GuardOld   = "old"   // what its latest snapshot has
	GuardEmpty = "empty" // nothing
	GuardAway  = "away"  // it does not begin until it is restarted once more
)

// Who signed a list of an image. Only one of them is ever trusted.
const (
	ByBuilder  = "builder"
	ByStranger = "stranger"
)

// What becomes of the certificate by which lists of an image count. The machines begin with it.
const (
	BuilderRevoke  = "revoke"
	BuilderRestore = "restore"
	BuilderDrop    = "drop"   // its file goes
	BuilderImport  = "import" // and is there again
	BuilderBan     = "ban"    // the kernel's .blacklist names it from then on
)

// History is what happens to one machine, in order. Loss is the seed of what a
// power cut leaves of that which was not synced.
type History struct {
	Loss    uint64
	Guarded bool // the machine has a guard
	Imaged  bool // it started from an image, which may have lists
	Acts    []Act
}

func (h History) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "loss %d\n", h.Loss)
	if h.Guarded {
		fmt.Fprintln(&b, "guarded")
	}
	if h.Imaged {
		fmt.Fprintln(&b, "imaged")
	}
	for _, a := range h.Acts {
		fmt.Fprintln(&b, a)
	}
	return b.String()
}

// ParseHistory reads what String prints; empty lines and those that begin with
// # are passed over.
func ParseHistory(text string) (h History, err error) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0][0] == '#' {
			continue
		}
		if fields[0] == "loss" && len(fields) == 2 {
			if h.Loss, err = strconv.ParseUint(fields[1], 10, 64); err != nil {
				return h, err
			}
			continue
		}
		if fields[0] == "guarded" && len(fields) == 1 {
			h.Guarded = true
			continue
		}
		if fields[0] == "imaged" && len(fields) == 1 {
			h.Imaged = true
			continue
		}
		a := Act{Kind: Kind(fields[0])}
		if fault, ok := strings.CutPrefix(fields[len(fields)-1], "@"); ok {
			kind, after, _ := strings.Cut(fault, ":")
			if a.Fault.After, err = strconv.Atoi(after); err != nil {
				return h, fmt.Errorf("cannot read fault of %q: %w", line, err)
			}
			a.Fault.Kind = FaultKind(kind)
			fields = fields[:len(fields)-1]
		}
		if !slices.Contains(apart, a.Kind) && !slices.ContainsFunc(menu, func(m dish) bool { return m.kind == a.Kind }) || len(fields) > 2 {
			return h, fmt.Errorf("cannot read %q", line)
		}
		if len(fields) == 2 {
			a.What = fields[1]
		}
		h.Acts = append(h.Acts, a)
	}
	return h, nil
}

// dish is a kind of act, how often it is drawn, and what it is about.
type dish struct {
	kind   Kind
	weight int
	what   func(*rand.Rand) string
}

func aPackage(r *rand.Rand) string { return pool[r.IntN(len(pool))].String() }
func aKey(r *rand.Rand) string     { return []string{"A", "A", "B", "C"}[r.IntN(4)] }
func aSigner(r *rand.Rand) string  { return []string{"A", "A", "B", "C", SubkeyOf("B")}[r.IntN(5)] }
func aName(r *rand.Rand) string    { return pool[r.IntN(len(pool))].Name }
func aRange(r *rand.Rand) string   { return rangeText(Range{Name: aName(r), Below: r.IntN(rungs+1) + 1}) }
func rangeText(r Range) string     { return fmt.Sprintf("%s<%d", r.Name, r.Below) }
func nothing(*rand.Rand) string    { return "" }

func aContent(r *rand.Rand) string {
	if r.IntN(4) == 0 {
		return strconv.Itoa(Shared)
	}
	p := pool[r.IntN(len(pool))]
	return strconv.Itoa(p.Contents[r.IntN(len(p.Contents))])
}

func aPolicy(r *rand.Rand) string { return aRange(r) + "+" + aRange(r) }
func aPair(r *rand.Rand) string   { return aPackage(r) + "," + aPackage(r) }
func anOwn(r *rand.Rand) string   { return OwnNames[r.IntN(len(OwnNames))] }
func ownOf(r *rand.Rand) string   { return anOwn(r) + "=" + aContent(r) }

// anAdvice is what a repository says of packages that all of one key are.
func anAdvice(r *rand.Rand) string {
	repository := []string{"updates", "updates", "extras", "strange"}[r.IntN(4)]
	name := []string{"kern", "hop"}[r.IntN(2)]
	below := 2 + r.IntN(rungs-1)
	if repository != "strange" && r.IntN(2) == 0 {
		name, below = "app", 2+r.IntN(2)
	}
	return repository + ":" + rangeText(Range{Name: name, Below: below})
}

func aRepository(r *rand.Rand) string { return []string{"updates", "extras"}[r.IntN(2)] }

func aDay(r *rand.Rand) string  { return strconv.Itoa(r.IntN(days)) }
func aTime(r *rand.Rand) string { return aRange(r) + ":" + aDay(r) }
func onOff(r *rand.Rand) string { return []string{"on", "off"}[r.IntN(2)] }

func aRenewal(r *rand.Rand) string { return aKey(r) + ":" + strconv.Itoa(r.IntN(days+1)) }

func theSubkeyed(*rand.Rand) string { return "B" }

func anExpiry(r *rand.Rand) string { return []string{"withdraw", "accept"}[r.IntN(2)] }

func aDeployment(r *rand.Rand) string { return []string{"copy", "boot", "boot"}[r.IntN(3)] }

func aRetention(r *rand.Rand) string { return []string{"report", "refuse"}[r.IntN(2)] }

func aSetting(r *rand.Rand) string { return []string{"allow", "withhold"}[r.IntN(2)] }

var menu = []dish{
	{Install, 40, aPackage}, {Failing, 6, aPackage}, {Cut, 5, aPackage}, {Lost, 3, aPackage}, {Erase, 10, aPackage}, {Sneak, 6, aPackage}, {Vanish, 4, aPackage},
	{Revoke, 5, aSigner}, {Restore, 5, aSigner}, {Drop, 2, aKey}, {Import, 3, aKey},
	{Renew, 4, aRenewal}, {Retract, 1, theSubkeyed}, {Outdate, 1, theSubkeyed}, {Expiry, 2, anExpiry},
	{Deny, 5, aRange}, {Lift, 5, aRange}, {DenyContent, 4, aContent}, {LiftContent, 4, aContent},
	{Floor, 4, aRange}, {ClearFloor, 3, aName}, {Grant, 7, aPackage}, {TakeGrant, 2, aPackage}, {Unsigned, 2, aSetting}, {KeepOld, 2, onOff},
	{Compare, 10, nothing}, {Rotate, 2, nothing}, {Restart, 3, nothing}, {Kill, 3, nothing}, {PowerOf, 3, nothing}, {Reboot, 2, nothing},
	{Deploy, 6, aDeployment}, {Retained, 1, aRetention},
	{Delete, 2, aPackage}, {Alter, 2, aPackage}, {Plant, 2, aPackage},
	{Amid + Revoke, 2, aSigner}, {Amid + Restore, 1, aSigner}, {Amid + Deny, 3, aRange}, {Amid + Lift, 2, aRange},
	{Amid + DenyContent, 2, aContent}, {Amid + LiftContent, 1, aContent}, {Amid + Floor, 2, aRange}, {Amid + ClearFloor, 1, aName},
	{Amid + Police, 1, aPolicy}, {Within + Police, 1, aPolicy},
	{Amid + Grant, 1, aPackage}, {Amid + TakeGrant, 1, aPackage},
	{HandOver, 4, aPackage}, {Both, 4, aPair}, {DenyUntil, 3, aTime}, {Clock, 3, aDay}, {Ban, 1, aContent}, {Order, 1, aPackage}, {Prefetch, 1, onOff},
	{Own, 4, ownOf}, {OwnRemove, 2, anOwn}, {Police, 4, aPolicy}, {PoliceGone, 2, nothing}, {PoliceForget, 2, nothing},
	{Advise, 5, anAdvice}, {ForgetAdvice, 2, aRepository}, {Look, 6, nothing}, {Amid + Advise, 1, anAdvice}, {Within + Advise, 1, anAdvice},
	{Awaited + Revoke, 1, aSigner}, {Awaited + Drop, 1, aKey}, {Awaited + Import, 1, aKey}, {Awaited + Renew, 1, aRenewal}, {Awaited + Retract, 1, theSubkeyed},
	{Awaited + Deny, 1, aRange}, {Awaited + Floor, 1, aRange}, {Awaited + Ban, 1, aContent}, {Awaited + Police, 1, aPolicy},
	{Within + Revoke, 2, aSigner}, {Within + Restore, 1, aSigner}, {Within + Drop, 1, aKey}, {Within + Import, 1, aKey}, {Within + Renew, 1, aRenewal},
	{Within + Deny, 2, aRange}, {Within + Lift, 1, aRange}, {Within + DenyContent, 2, aContent}, {Within + LiftContent, 1, aContent},
	{Within + Unsigned, 1, aSetting}, {Within + Floor, 1, aRange}, {Within + Grant, 1, aPackage}, {Within + TakeGrant, 1, aPackage},
}

// apart are the kinds of acts that only some machines have.
var apart = []Kind{Guard, Image, Builder}

// days is how far the clock goes.
const days = 9

func aFault(r *rand.Rand) Fault {
	return Fault{Kind: []FaultKind{ErrorAt, KillAt, PowerAt}[r.IntN(3)], After: r.IntN(maxAfter)}
}

// Draw makes a history of 20 to 60 acts from a seed.
func Draw(seed uint64) History {
	r := rand.New(rand.NewPCG(seed, 0x6469676573746421))
	total := 0
	for _, d := range menu {
		total += d.weight
	}
	h := History{Loss: r.Uint64()}
	faulty := r.IntN(3) > 0 // a third of all histories are of machines on which nothing fails
	for range 20 + r.IntN(41) {
		n := r.IntN(total)
		i := 0
		for ; n >= menu[i].weight; i++ {
			n -= menu[i].weight
		}
		a := Act{Kind: menu[i].kind, What: menu[i].what(r)}
		if faulty && r.IntN(6) == 0 {
			a.Fault = aFault(r)
		}
		h.Acts = append(h.Acts, a)
	}
	return h
}

// WithGuard is h on a machine with a guard, which is restarted now and then.
func WithGuard(h History, seed uint64) History {
	r := rand.New(rand.NewPCG(seed, 0x6775617264))
	guarded := h
	guarded.Guarded, guarded.Acts = true, nil
	for _, a := range h.Acts {
		if r.IntN(8) == 0 {
			act := Act{Kind: Guard, What: []string{GuardSame, GuardOld, GuardEmpty, GuardAway}[r.IntN(4)]}
			if r.IntN(4) == 0 {
				act.Fault = Fault{Kind: []FaultKind{ErrorAt, KillAt, PowerAt}[r.IntN(3)], After: r.IntN(3)}
			}
			guarded.Acts = append(guarded.Acts, act)
		}
		guarded.Acts = append(guarded.Acts, a)
	}
	return guarded
}

// WithImage is h on a machine that started from an image with some lists, and gets more of them.
func WithImage(h History, seed uint64) History {
	r := rand.New(rand.NewPCG(seed, 0x696d616765))
	imaged := h
	imaged.Imaged, imaged.Acts = true, nil
	lay := func(p string) {
		who := ByBuilder
		if r.IntN(5) == 0 {
			who = ByStranger
		}
		imaged.Acts = append(imaged.Acts, Act{Kind: Image, What: p + "=" + who})
	}
	for range 8 {
		lay(aPackage(r))
	}
	for _, a := range h.Acts {
		switch r.IntN(10) {
		case 0:
			p := aPackage(r)
			lay(p)
			imaged.Acts = append(imaged.Acts, Act{Kind: Sneak, What: p})
		case 1:
			what := []string{BuilderRevoke, BuilderRevoke, BuilderRestore, BuilderRestore, BuilderRestore, BuilderDrop, BuilderImport, BuilderImport, BuilderBan}[r.IntN(9)]
			if what == BuilderBan && r.IntN(3) > 0 {
				what = BuilderImport // for nothing takes a ban back
			}
			act := Act{Kind: Builder, What: what}
			if r.IntN(4) == 0 {
				act.Fault = aFault(r)
			}
			imaged.Acts = append(imaged.Acts, act)
		}
		imaged.Acts = append(imaged.Acts, a)
	}
	return imaged
}

// Shrink returns a short part of h that still fails, as fails says.
func Shrink(h History, fails func(History) bool) History {
	for size := max(1, len(h.Acts)/2); size > 0; size /= 2 {
		for at := 0; at+size <= len(h.Acts); {
			shorter := h
			shorter.Acts = slices.Delete(slices.Clone(h.Acts), at, at+size)
			if fails(shorter) {
				h = shorter
			} else {
				at += size
			}
		}
	}
	for i := range h.Acts {
		plain := h
		plain.Acts = slices.Clone(h.Acts)
		if plain.Acts[i].Fault.Kind != NoFault {
			plain.Acts[i].Fault = Fault{}
			if fails(plain) {
				h = plain
			}
		}
	}
	return h
}

// Drawn are the kinds of acts that histories have.
func Drawn() (kinds []Kind) {
	for _, d := range menu {
		if d.weight > 0 {
			kinds = append(kinds, d.kind)
		}
	}
	return kinds
}
