// SPDX-License-Identifier: Apache-2.0

package failpoint

import (
	"fmt"
	"slices"
	"strings"
)

// Effect is a kind of effect that the plan of an event has. The executor carries effects
// out in this order.
type Effect string

// The effects.
const (
	Intent   Effect = "intent"   // records are durable before anything can be seen
	Withdraw Effect = "withdraw" // lists leave the directory
	Publish  Effect = "publish"  // lists appear in it
	Aside    Effect = "aside"    // files of others leave it
	Sync     Effect = "sync"     // lists and directory become durable
	Commit   Effect = "commit"   // records of what has happened become durable
)

// An Instant is a point in the course of an event.
type Instant string

// The instants at the effects of the executor.
const (
	BeforeIntent        Instant = "before-intent"
	AfterIntent         Instant = "after-intent"
	BeforeWithdraw      Instant = "before-withdraw"
	BetweenWithdrawals  Instant = "between-withdrawals" // after each
	AfterWithdraw       Instant = "after-withdraw"
	BeforePublish       Instant = "before-publish"
	BetweenPublications Instant = "between-publications" // after each
	AfterPublish        Instant = "after-publish"
	BeforeAside         Instant = "before-aside"
	AfterAside          Instant = "after-aside"
	BeforeSync          Instant = "before-sync"
	BeforeCommit        Instant = "before-commit"
	AfterCommit         Instant = "after-commit"
)

// Described is an effect with what it does and the instants it has, in order.
type Described struct {
	Effect   Effect
	Does     string
	Instants []Instant
}

// Effects are all effects, in order.
var Effects = []Described{
	{Intent, "makes the decision and the mark durable, before anything is visible", []Instant{BeforeIntent, AfterIntent}},
	{Withdraw, "removes lists from the directory", []Instant{BeforeWithdraw, BetweenWithdrawals, AfterWithdraw}},
	{Publish, "gives staged lists their final names", []Instant{BeforePublish, BetweenPublications, AfterPublish}},
	{Aside, "moves files of other programs into quarantine", []Instant{BeforeAside, AfterAside}},
	{Sync, "makes lists and directory durable", []Instant{BeforeSync}},
	{Commit, "makes the record of the event durable, and removes the mark", []Instant{BeforeCommit, AfterCommit}},
}

// Event is something that the state of the daemon is told of or asked for.
type Event struct {
	Name    string
	What    string // has happened, or is asked for
	Effects []Effect
	Beside  []Instant // instants of what is done for it beside the executor
}

// Instants returns all instants of the event.
func (e Event) Instants() []Instant { return append(e.AtEffects(), e.Beside...) }

// AtEffects returns those that the executor passes.
func (e Event) AtEffects() (all []Instant) {
	for _, x := range Effects {
		if slices.Contains(e.Effects, x.Effect) {
			all = append(all, x.Instants...)
		}
	}
	return all
}

// Name is how tests name an instant of an event: "EVENT-INSTANT".
func Name(event string, instant Instant) string { return event + "-" + string(instant) }

// Find returns the event of that name.
func Find(name string) (Event, bool) {
	i := slices.IndexFunc(Events, func(e Event) bool { return e.Name == name })
	if i < 0 {
		return Event{}, false
	}
	return Events[i], true
}

// Check returns an error if the table does not have an instant.
func Check(event string, instant Instant) error {
	e, known := Find(event)
	if !known {
		return fmt.Errorf("the table of events has no event %q", event)
	}
	if !slices.Contains(e.Instants(), instant) {
		return fmt.Errorf("the table of events has no instant %q for the event %q", instant, event)
	}
	return nil
}

// Table is the tables of effects and events as text for docs/architecture.md.
func Table() string {
	var b strings.Builder
	b.WriteString("| effect | what it does |\n|---|---|\n")
	for _, x := range Effects {
		fmt.Fprintf(&b, "| %s | %s |\n", x.Effect, x.Does)
	}
	b.WriteString("\n| event | what it says | effects |\n|---|---|---|\n")
	for _, e := range Events {
		var effects []string
		for _, x := range e.Effects {
			effects = append(effects, string(x))
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", e.Name, e.What, strings.Join(effects, ", "))
	}
	return b.String()
}

// withdrawing is what changes of trust do: what is decided is durable before lists leave.
var withdrawing = []Effect{Intent, Withdraw, Sync, Commit}

// forbidding is what those do that forbid lists: where a crash may have left some, what nobody knows
// of leaves with them, and what is of another program is set aside.
var forbidding = []Effect{Intent, Withdraw, Aside, Sync, Commit}

// Events are all events. Those without an effect only change memory, or show it.
var Events = []Event{
	// Package managers.
	{Name: "begin", What: "a transaction begins, or is refused", Effects: []Effect{Commit}},
	{Name: "mark", What: "lists of a transaction may come", Effects: []Effect{Commit}},
	{Name: "consider", What: "a header has arrived"},
	{Name: "add", What: "a header was verified and its list is staged", Effects: []Effect{Intent, Withdraw, Publish}},
	{Name: "installed", What: "a package is in rpm's database"},
	{Name: "failed", What: "a package could not be installed", Effects: []Effect{Intent, Withdraw, Publish}},
	{Name: "removing", What: "a package is about to go", Effects: forbidding},
	{Name: "remove", What: "the files of a package that goes are bound to other lists", Effects: []Effect{Withdraw}},
	{Name: "examine", What: "a trial run asks about a package", Effects: []Effect{Commit}},
	{Name: "end", What: "a transaction has ended", Effects: []Effect{Intent, Withdraw, Publish, Sync, Commit}},
	{Name: "abandon", What: "a package manager disconnected before the end of its transaction"},
	{Name: "takeover", What: "a transaction began under the previous digestd", Effects: []Effect{Commit}},

	// Comparisons.
	{Name: "start", What: "the index was opened", Effects: []Effect{Commit}},
	{Name: "booted", What: "it was read which of several installed systems the machine is running", Effects: []Effect{Commit}},
	{Name: "observe", What: "a client listens to signals"},
	{Name: "keys", What: "certificates and revocations were read", Effects: forbidding},
	{Name: "judge", What: "headers were verified by the rules of this release", Effects: withdrawing},
	{Name: "expire", What: "a comparison begins", Effects: withdrawing},
	{Name: "inspect", What: "lists and strange files were looked at", Effects: []Effect{Withdraw, Aside, Commit}},
	{Name: "inspected", What: "the directory was looked at because something changed in it", Effects: []Effect{Commit}},
	{Name: "hold", What: "active lists are held open"},
	{Name: "blacklist", What: "the kernel's .blacklist was read", Effects: withdrawing},
	{Name: "gather", What: "a comparison asks which lists are still right", Effects: withdrawing},
	{Name: "sync", What: "rpm's database was read, and lists are staged", Effects: []Effect{Intent, Withdraw, Publish, Sync, Commit}},
	{Name: "moved", What: "files are bound to lists under their new names", Effects: []Effect{Withdraw, Sync, Commit}, Beside: []Instant{"between-labels"}},
	{Name: "synced", What: "a comparison has ended"},
	{Name: "chores", What: "it is time to retry what failed", Effects: []Effect{Withdraw, Commit}},
	{Name: "probe", What: "a test whether the index can be written", Effects: []Effect{Intent}},

	// Acts of the owner.
	{Name: "policy", What: "policy files were read, or what stayed of one is forgotten", Effects: forbidding},
	{Name: "deny", What: "contents or packages are denied, or a denial is lifted; lists without what is denied are staged",
		Effects: []Effect{Intent, Withdraw, Publish, Aside, Sync, Commit}},
	{Name: "import", What: "a dry run of an import of denials"},
	{Name: "floor", What: "a floor is set or cleared", Effects: forbidding},
	{Name: "grant", What: "a grant is given or revoked", Effects: []Effect{Intent}},
	{Name: "advise", What: "the advisories of a repository were read", Effects: []Effect{Commit}},
	{Name: "retract", What: "lists below an advisory are due to go, or what a repository said is forgotten", Effects: withdrawing},
	{Name: "revoke", What: "a key is revoked", Effects: forbidding},
	{Name: "restore", What: "a revocation is lifted", Effects: []Effect{Intent}},
	{Name: "own", What: "an own list is staged", Effects: []Effect{Intent, Publish, Sync, Commit}},
	{Name: "disown", What: "an own list goes", Effects: withdrawing},
	{Name: "order", What: "lists get numbers", Effects: []Effect{Intent}},
	{Name: "prefetch", What: "prefetch is switched on or off", Effects: []Effect{Intent}},
	{Name: "configuration", What: "the configuration was reloaded", Effects: forbidding},
	{Name: "contents", What: "files were hashed whose lists have another digest than SHA-256", Effects: []Effect{Intent}},
	{Name: "signs", What: "files get signatures from now on", Effects: []Effect{Intent}},

	// Keys that sign lists.
	{Name: "rotate", What: "another key signs lists", Effects: []Effect{Commit}, Beside: []Instant{"before-certificate", "after-certificate", "between-files"}},
	{Name: "certificate", What: "another certificate of the key was installed", Effects: []Effect{Commit}},
	{Name: "enrol", What: "the certificate was added to the kernel", Effects: []Effect{Commit}},
	{Name: "guard", What: "an administrator switched the guard, or learned files that it refused", Effects: []Effect{Commit}},
	{Name: "bind", What: "the index is bound to a counter in the TPM, or to none any more", Effects: []Effect{Intent, Commit},
		Beside: []Instant{"after-draft", "after-define", "after-increment", "after-name", "after-remove"}},
	{Name: "anchor", What: "the counter in the TPM was read", Effects: []Effect{Commit}},
	{Name: "epoch", What: "what was decided is anchored", Effects: []Effect{Intent, Commit}, Beside: []Instant{"before-increment", "after-increment"}},
	{Name: "accept", What: "an older state is accepted", Effects: []Effect{Intent, Commit}},
	{Name: "unenrol", What: "revoked certificates are removed from the kernel", Beside: []Instant{"before", "after"}},

	// Work that was done beside the state.
	{Name: "labels", What: "labels were written, or could not be", Effects: []Effect{Commit}, Beside: []Instant{"before-renewal", "after-renewal"}},
	{Name: "carriers", What: "a carrier begins to read the log"},
	{Name: "taken", What: "the log was confirmed up to an entry", Effects: []Effect{Commit}},
	{Name: "verified", What: "files were compared with lists", Effects: []Effect{Commit}},
	{Name: "note", What: "a problem appeared, or is solved"},
	{Name: "show", What: "the state is shown to readers"},
}
