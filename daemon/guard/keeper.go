// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"errors"
	"sync"

	"github.com/digestd/digestd/daemon/guard/exempt"
	"github.com/digestd/digestd/kernel/guard"
)

// Keeper is the one hand on the kernel's maps: it takes one change at a time, and
// decides which mode the kernel is in. It enforces only what was compared with the index,
// and goes on as it finds the kernel until then.
type Keeper struct {
	mu     sync.Mutex
	maps   Maps
	facts  Facts
	wanted Change
	lasts  bool // wanted is put in force again after each comparison
	exempt []exempt.Group

	checked bool   // mode enforce needs no check any more
	check   *Check // the latest, if it has not passed
	doubts  uint64 // how often something spoke against enforcing, or nothing could be known of it
	state   uint64 // counts changes that watchers hear of
	changed chan struct{}
}

// Facts are what does not change while digestd-guard runs.
type Facts struct {
	Wanted   Change     // what the owner has configured
	Most     guard.Mode // what the kernel's command line allows
	Doubt    string     // why nothing may be enforced; "" if it may
	Start    string     // why the guard could not begin with its snapshot; "" if it could
	Anyway   bool       // it enforces before the first comparison, whatever Start says
	Check    bool       // before it enforces what is configured, a check has to pass; see Keeper.Checked
	Strict   bool
	Seal     bool
	Modules  guard.Mode
	Verified uint32
}

// NewKeeper puts in force what is wanted, as far as it can be now.
func NewKeeper(maps Maps, facts Facts) (*Keeper, error) {
	k := &Keeper{maps: maps, facts: facts, wanted: facts.Wanted, lasts: true, checked: !facts.Check, state: 1, changed: make(chan struct{})}
	if _, err := k.wanted.check(); err != nil {
		return nil, err
	}
	for _, doubt := range []string{facts.Start, facts.Doubt} {
		if doubt != "" {
			k.doubts++
		}
	}
	return k, k.settle()
}

// settle brings the kernel's mode in line with what is wanted.
func (k *Keeper) settle() error {
	is, err := k.maps.Settings()
	if err != nil {
		return err
	}
	commit, err := k.maps.Commit()
	if err != nil {
		return err
	}
	// A mode that is in force without an end needs no check: nobody is to be locked out by it
	// anew.
	k.checked = k.checked || is.Mode == guard.Enforce && is.Trial == 0
	to, _ := k.mode(commit)
	// A kernel that enforces goes on: that it was not compared yet is the usual state
	// between a restart and its comparison, and in the middle of a change.
	if is.Mode == guard.Enforce && commit == 0 && k.allowed() == guard.Enforce {
		return nil
	}
	if commit == 0 && k.facts.Anyway {
		to = k.allowed()
	}
	if k.unchecked() {
		to = guard.Audit
		if is.Mode == guard.Enforce {
			to = guard.Enforce // a trial, which ends by itself
		}
	}
	want := guard.Settings{Mode: to, Strict: k.facts.Strict, Seal: k.facts.Seal, Modules: k.facts.Modules, Largest: is.Largest, Trial: is.Trial}
	if is == want {
		return nil
	}
	// A trial does not lose its end because something else about the guard changes.
	if is.Mode != guard.Enforce || to != guard.Enforce {
		want.Trial = 0
	}
	k.turn()
	return k.maps.SetSettings(want)
}

// turn tells watchers that something has changed.
func (k *Keeper) turn() {
	k.state++
	close(k.changed)
	k.changed = make(chan struct{})
}

// Watch returns a number that stands for what watchers know, and what is closed when that
// changes: the mode, by anything but the end of a trial; what a check found; and, while one is
// needed, the digests.
func (k *Keeper) Watch() (state uint64, changed <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state, k.changed
}

// unchecked reports whether mode enforce waits for a check.
func (k *Keeper) unchecked() bool { return !k.checked && k.lasts && k.allowed() == guard.Enforce }

// errNoCheck is why Checked refuses a check.
var errNoCheck = errors.New("nothing waits for a check")

// Checked takes what a check of the files that the machine needs has found. If it has passed,
// the guard enforces as is configured; else it goes on auditing, and says why.
func (k *Keeper) Checked(c Check) error {
	if err := c.valid(); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.unchecked() {
		return errNoCheck
	}
	k.turn()
	if !c.Passed() {
		k.doubts++
		k.check = &c
		return nil
	}
	k.check, k.checked = nil, true
	return k.settle()
}

// allowed is the mode that is wanted, as far as facts allow it.
func (k *Keeper) allowed() guard.Mode {
	mode, err := k.wanted.check()
	if err != nil {
		return guard.Audit
	}
	if k.facts.Doubt != "" {
		mode = min(mode, guard.Audit)
	}
	return min(mode, k.facts.Most)
}

// mode is what the kernel shall do at a commit, and why that is not what is wanted.
func (k *Keeper) mode(commit uint64) (guard.Mode, string) {
	mode := k.allowed()
	switch wanted, _ := guard.ParseMode(k.wanted.Mode); {
	case mode < wanted && k.facts.Most < wanted:
		return mode, "digestd.guard=" + k.facts.Most.String() + " is on the kernel's command line"
	case mode < wanted:
		return mode, k.facts.Doubt
	case mode == guard.Enforce && commit == 0 && k.facts.Start != "":
		return guard.Audit, "digestd has not compared the digests with the index yet, and " + k.facts.Start
	case mode == guard.Enforce && commit == 0:
		return guard.Audit, "digestd has not compared the digests with the index yet"
	case mode == guard.Enforce && k.unchecked() && k.check != nil:
		return guard.Audit, k.check.String()
	case mode == guard.Enforce && k.unchecked():
		return guard.Audit, "the check of what this machine needs has not ended yet: see systemctl status digestd-guard-check"
	}
	return mode, ""
}

// errNotCompared is why Enforce is refused before the first comparison.
var errNotCompared = errors.New("digestd has not compared the digests with the index yet; start digestd and try again")

// errNoTrial is why Change refuses to confirm.
var errNoTrial = errors.New("no trial is in force: it has ended or never began")

// Change puts a mode in force. It refuses to enforce where that cannot be.
func (k *Keeper) Change(to Change) error {
	mode, err := to.check()
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if mode == guard.Enforce {
		switch commit, err := k.maps.Commit(); {
		case err != nil:
			return err
		case k.facts.Doubt != "":
			return errors.New(k.facts.Doubt)
		case k.facts.Most < mode:
			return errors.New("digestd.guard=" + k.facts.Most.String() + " is on the kernel's command line; reboot without it")
		case commit == 0:
			return errNotCompared
		}
	}
	is, err := k.maps.Settings()
	if err != nil {
		return err
	}
	if to.Confirm && (is.Mode != guard.Enforce || is.Trial <= 0) {
		return errNoTrial
	}
	err = k.maps.SetSettings(guard.Settings{Mode: mode, Strict: k.facts.Strict, Seal: k.facts.Seal, Modules: k.facts.Modules, Largest: is.Largest, Trial: to.Trial})
	if err != nil {
		return err
	}
	k.turn()
	k.checked, k.check = k.checked || mode == guard.Enforce, nil
	// After a trial the kernel is in mode Audit by itself, and is to stay so.
	k.wanted, k.lasts = Change{Mode: to.Mode, Trial: to.Trial}, to.Trial == 0
	return nil
}

// Admit is that of Maps.
func (k *Keeper) Admit(digests []guard.Digest) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.maps.Admit(digests)
}

// Expel is that of Maps.
func (k *Keeper) Expel(digests []guard.Digest) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.maps.Expel(digests)
}

// Listed is that of Maps.
func (k *Keeper) Listed(digests []guard.Digest) ([]bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.maps.Listed(digests)
}

// SetCommit says with which commit the digests agree. The first one after a start
// may put Enforce in force.
func (k *Keeper) SetCommit(n uint64) error {
	if n == 0 {
		return errors.New("commit 0 means that nothing was compared")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.setCommit(n)
}

func (k *Keeper) setCommit(n uint64) error {
	if err := k.maps.SetCommit(n); err != nil {
		return err
	}
	if !k.lasts {
		return nil
	}
	if k.unchecked() {
		k.turn()
	}
	return k.settle()
}

// SetLargest says how large a listed file is at most; 0 if that is not known.
func (k *Keeper) SetLargest(size uint64) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	is, err := k.maps.Settings()
	if err != nil {
		return err
	}
	is.Largest = size
	return k.maps.SetSettings(is)
}

// SetKeepers is that of Maps.
func (k *Keeper) SetKeepers(digests []guard.Digest) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.maps.SetKeepers(digests)
}

// Replace is that of Maps, and then SetCommit of what commit returns.
func (k *Keeper) Replace(total int, next func() ([]guard.Digest, []uint32, error), commit func() uint64) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.maps.Replace(total, next); err != nil {
		return err
	}
	if commit() == 0 {
		return nil
	}
	return k.setCommit(commit())
}

// Each is that of Maps. It returns the commit that the digests agree with, and fails where
// that is not known.
func (k *Keeper) Each(do func(guard.Digest, uint32) error) (commit uint64, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if commit, err = k.maps.Commit(); err != nil {
		return 0, err
	}
	if commit == 0 {
		return 0, errors.New("the digests are being changed, or digestd has not compared them with the index yet")
	}
	return commit, k.maps.Each(do)
}

// Exempt puts exemptions in force, which groups led to.
func (k *Keeper) Exempt(groups []exempt.Group, to guard.Exemptions) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.exempt = groups
	return k.maps.SetExemptions(to)
}

// Room says how many digests there are and can be.
func (k *Keeper) Room() (Room, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	is, err := k.maps.Settings()
	if err != nil {
		return Room{}, err
	}
	most, err := k.maps.Room()
	return Room{Mode: is.Mode.String(), Held: k.maps.Len(), Most: most}, err
}

// Status says what the guard does and knows.
func (k *Keeper) Status() (Status, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	is, err := k.maps.Settings()
	if err != nil {
		return Status{}, err
	}
	commit, err := k.maps.Commit()
	if err != nil {
		return Status{}, err
	}
	counts, err := k.maps.Counts()
	if err != nil {
		return Status{}, err
	}
	s := Status{
		Mode: is.Mode.String(), Wanted: k.wanted.Mode, Trial: is.Trial, Strict: is.Strict, Seal: is.Seal, Modules: is.Modules.String(),
		Commit: commit, Digests: k.maps.Len(), Counts: counts, Verified: k.facts.Verified, Doubt: k.facts.Doubt, Start: k.facts.Start, Exempt: k.exempt,
		Unchecked: k.unchecked(), Check: k.check, Doubts: k.doubts,
	}
	switch _, why := k.mode(commit); {
	case s.Mode == s.Wanted:
	case !k.lasts:
		s.Why = "the trial has ended"
	default:
		s.Why = why
	}
	return s, nil
}
