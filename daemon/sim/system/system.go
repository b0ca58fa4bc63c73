// SPDX-License-Identifier: Apache-2.0

// Package system says what package sim can try: a [System] carries out the acts of a history.
package system

import (
	"errors"

	"github.com/digestd/digestd/daemon/sim/story"
)

// ErrCrashed is what a System answers when it was killed, or its power cut, in
// the middle of a call. Nothing but Start may be called after that.
var ErrCrashed = errors.New("crashed")

// Verdict is the answer to a transaction, or about a package in it.
type Verdict int

// The verdicts.
const (
	Unlisted Verdict = iota // it may come, without a list; of a transaction: it may go on
	Listed                  // its list is published
	Refused
)

// Keeping is the kind of effect that nobody sees: it leaves a file where only a start looks for
// it. An act that fails at such an effect has not happened.
const Keeping = "keep"

// ByMachine is who signed a list that the System made; the others are [story.ByBuilder] and
// [story.ByStranger].
const ByMachine = "machine"

// System is what is tried: a digestd, or the part of it that decides. An error
// other than ErrCrashed means that the act has not happened.
type System interface {
	// Arm lets one fault happen in the calls that follow; loss is as in Crash. Fired returns the kind of
	// effect it hit and how many that can be seen came before it in those calls, "" for
	// none.
	Arm(f story.Fault, loss uint64)
	Fired() (effect string, before int)

	Begin(added, removed []story.Package) (Verdict, error)
	Unpack(story.Package) (Verdict, error)
	Failed(story.Package) error
	Put(story.Package) error // it is in rpm's database
	Gone(story.Package) error
	End() error
	Lose() error     // the package manager is gone in the midst of a transaction
	HandOver() error // the process ends, and the next takes the transaction over
	// Wait has a comparison begin, which waits for the transaction to end. End and Lose
	// return once it has ended, too.
	Wait() error
	// Switch lets the calls above be about the other one of two transactions.
	Switch()
	// Within has fn called once, when the next list is made for a package and not yet
	// published; nil takes that back.
	Within(fn func())

	Revoke(key string) error
	Restore(key string) error
	Keys(present []story.Certificate) error // rpm's keyring was read again
	Deny(story.Range) error
	Lift(story.Range) error
	DenyContent(int) error
	LiftContent(int) error
	SetFloor(story.Range) error
	ClearFloor(name string) error
	Grant(story.Package) error
	TakeGrant(story.Package) error
	Unsigned(allow bool) error
	KeepOld(on bool) error
	Retained(refuse bool) error
	Rotate() error
	SetClock(day int)
	Expiry(withdraw bool) // holds for the processes that follow
	Ban(content int) error
	// Police has a policy file set a floor and deny versions, in the place of what it said
	// before. PoliceGone takes the file away, and PoliceForget has what stayed of it
	// forgotten.
	Police(floor, denial story.Range) error
	PoliceGone() error
	PoliceForget() error
	// Advise has the advisories of a repository say which versions lack a fix. Look has the
	// lists withdrawn for which the day has come, see AdviceGrace.
	Advise(repository string, lacking story.Range) error
	ForgetAdvice(repository string) error
	Look() error
	Order(story.Package) error
	Prefetch(on bool) error
	Own(name string, content int) error
	OwnRemove(name string) error

	// Compare brings lists in line with what is installed.
	Compare(story.Installed) error
	Stop() error
	// Crash ends the process without warning. A power cut takes, by the seed, any
	// part of what was not synced.
	Crash(power bool, loss uint64)
	Start() error
	Reboot() // the machine starts anew; the process has ended
	// Copy makes the other one of two installed systems like the one that runs: the packages and
	// the list directory. Boot is Reboot into the other one; what it has Compare tells.
	Copy()
	Boot()

	// Directory is what the list directory holds: the contents of each list, nil for
	// a file that is none of ours.
	Directory() map[string][]int
	// Tampered counts all that was ever laid to another program.
	Tampered() int
	// Loose names a list of which a power cut at once could undo what was done last, ""
	// if there is none. Early says what was done since it was last asked before that
	// which must be durable first, "" for nothing.
	Loose() string
	Early() string
	// Astray names a file that is kept and that nothing records, one that is recorded and
	// not there, or one that is not signed as it must be; "" if there is none. It is asked
	// when nothing is under way.
	Astray() string
	// Image puts the list of a package into the image that the machine started from, signed by
	// one of [story.ByBuilder] and [story.ByStranger]. Builder changes what the certificate of the first is
	// worth, see [story.BuilderRevoke] and those after it. Signed is who signed each list that is of a
	// package, also [ByMachine]; nil if lists bear no signatures.
	Image(p story.Package, by string) error
	Builder(how string) error
	Signed() map[string]string

	// Guard restarts what holds in the kernel which contents may run, in one of the ways
	// of [story.GuardSame] and those after it. Enforced says how that differs from what lists in
	// the directory hold, "" if it does not, or if the System knows that it does: at rest
	// it must not. Surplus says what that lets run and no list in the directory holds, ""
	// for nothing, or if the System does not rely on it: it is asked after a start, before
	// the lists are compared.
	Guard(how string) error
	Enforced(rest bool) string
	Surplus() string
	// Counter is the number of the latest activation, and of the latest that is durable.
	Counter() (last, durable uint64)
	// The acts of another program on the list of a package.
	Delete(story.Package) error
	Alter(story.Package) error
	Plant(story.Package) error
}
