// SPDX-License-Identifier: Apache-2.0

// Package anchor binds the index to a counter in the TPM, which no backup restores: digestd
// notices an index that is older than the latest decisions on this machine.
//
// The index counts epochs. One ends with each decision that must not be undone: a higher
// version, a floor, a denial, a revocation, another policy. The next epoch becomes durable in
// the index first, and then the counter rises. A denial or a revocation is anchored before it
// is answered, or after two seconds the answer says that it is not anchored yet; other
// decisions are anchored within an hour, and when digestd stops. Nothing waits longer for the
// TPM, and without it digestd goes on, with a problem that says so.
package anchor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/kernel/tpm"
	"github.com/digestd/digestd/policy"
)

const (
	// Interval is how long what is not urgent waits to be anchored. A TPM's memory wears
	// out: this makes at most 8,784 increments a year.
	Interval = time.Hour
	// patience is how long an act waits to be anchored before it is answered.
	patience = 2 * time.Second
	// startPatience is how long a start waits for the TPM.
	startPatience = 2 * time.Second
	// passPatience bounds what is asked of the TPM at one time.
	passPatience = 10 * time.Second
	// keyPatience bounds what needs an endorsement key: a TPM may derive one of RSA for many
	// seconds.
	keyPatience = 20 * time.Second
	// firstRetry and lastRetry are the pauses between attempts to reach the TPM.
	firstRetry, lastRetry = time.Second, 5 * time.Minute
)

// Chip is the TPM as it is used here. Each call ends with its context.
type Chip interface {
	// Read returns the name of what is at the counter's index, and its value where the name
	// is the counter's; [tpm.ErrNoCounter] if there is nothing.
	Read(ctx context.Context, c tpm.Counter) (name []byte, value uint64, err error)
	Increment(ctx context.Context, c tpm.Counter) error
	// Certify has the TPM state the value of the counter, over data.
	Certify(ctx context.Context, c tpm.Counter, data []byte) (tpm.Certificate, error)
	// Identity returns by which keys the TPM is known.
	Identity(ctx context.Context) (tpm.Identity, error)
	// Activate decrypts a credential for these keys; [tpm.ErrCredential] if it is for others.
	Activate(ctx context.Context, c tpm.Credential) (secret []byte, err error)
	// Define makes the counter.
	Define(ctx context.Context, owner []byte, c tpm.Counter, mark []byte) error
	// Begin gives a counter its first value, and returns it.
	Begin(ctx context.Context, c tpm.Counter, mark []byte) (value uint64, err error)
	// Remove removes what is at the counter's index if it has the mark, or the counter's name;
	// [tpm.ErrTaken] if something else is there. There may be nothing.
	Remove(ctx context.Context, owner []byte, c tpm.Counter, mark []byte) error
}

// Anchor keeps the index bound to the counter.
type Anchor struct {
	*host.Host
	Chip      Chip
	place     tpm.CounterPlace
	asked     chan chan error // acts that wait to be anchored
	Anchoring chan struct{}   // something is to be anchored
	busy      sync.Mutex      // one use of counter and file at a time
	last      last
	running   atomic.Bool // somebody answers those who ask
}

// last is what was learned of the counter last.
type last struct {
	mu      sync.Mutex
	counter uint64
	read    time.Time // zero: not yet
	risen   time.Time // when this process saw to it that the counter rose
	err     error
}

// New returns an anchor as the configuration of h asks for; it is off where that says so.
func New(h *host.Host) *Anchor {
	a := &Anchor{Host: h, asked: make(chan chan error), Anchoring: make(chan struct{}, 1)}
	if a.On() {
		// The configuration was checked.
		a.place, _ = tpm.ParseCounterPlace(h.Config.Anchor)
		a.Chip = chip{tpm.NewDevice(a.place.Device), h.Config.AnchorEndorsement}
	}
	return a
}

// On reports whether the configuration asks for an anchor.
func (a *Anchor) On() bool { return a.Config.Anchor != "off" && a.Config.Anchor != "" }

func (a *Anchor) path() string { return a.Config.AnchorSecret }

func (a *Anchor) draft() string { return a.path() + draftSuffix }

// secret reads the file, and completes what a crash left of enabling: once the index is
// bound to the counter of a draft, that is the one.
func (a *Anchor) secret() (secret, error) {
	if s, err := readSecret(a.draft()); err == nil && a.bound() == hex.EncodeToString(s.Name) {
		if err := renameSecret(a.draft(), a.path()); err != nil {
			return secret{}, err
		}
	}
	return readSecret(a.path())
}

// bound is the name of the counter that the index is bound to, "" for none.
func (a *Anchor) bound() string { return a.Snapshot().Past.Anchor.Name }

// errDoubt means that the index is not of the epoch that the counter has.
var errDoubt = errors.New("the index and the counter do not agree")

// Pass compares the index with the counter, and anchors what was decided by now.
func (a *Anchor) Pass(ctx context.Context) error { return a.look(ctx, true) }

// Look is Pass, except that what is not urgent waits for its hour: others decide how often they
// have somebody look, and the memory of a TPM wears out.
func (a *Anchor) Look(ctx context.Context) error {
	_, urgent := a.state(ctx)
	return a.look(ctx, urgent || a.untilDue() == 0)
}

func (a *Anchor) look(ctx context.Context, raise bool) error {
	if !a.On() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, passPatience)
	defer cancel()
	a.busy.Lock()
	defer a.busy.Unlock()
	err := a.pass(ctx, raise)
	a.tell(err)
	return err
}

func (a *Anchor) pass(ctx context.Context, raise bool) error {
	s, err := a.secret()
	if err != nil {
		return err
	}
	standing, value, err := a.compare(ctx, s)
	switch {
	case err != nil:
		return err
	case standing.Doubt() != policy.NoDoubt:
		return errDoubt
	case standing == policy.ToIncrement:
		if value, err = a.rise(ctx, s, value); err != nil {
			return err
		}
	}
	if !raise {
		return nil
	}
	raised := false
	err = a.Exec.Decide(ctx, "epoch", func(l *ledger.Ledger) error {
		raised = l.RaiseEpoch(value)
		return nil
	})
	if err != nil || !raised {
		return err
	}
	_, err = a.rise(ctx, s, value)
	return err
}

// compare reads the counter and lets the ledger know.
func (a *Anchor) compare(ctx context.Context, s secret) (standing policy.Standing, value uint64, err error) {
	e := policy.Epochs{Found: true, Expected: hex.EncodeToString(s.Name)}
	name, value, err := a.Chip.Read(ctx, s.counter())
	if errors.Is(err, tpm.ErrNoCounter) {
		e.Found, err = false, nil
	}
	if err != nil {
		return standing, 0, err
	}
	e.Name, e.Counter = hex.EncodeToString(name), value
	if e.Found && e.Name == e.Expected {
		a.last.learned(value, a.Now())
	}
	err = a.Exec.Enter(ctx, "anchor", func(l *ledger.Ledger) error {
		standing = l.CounterFound(e)
		l.PolicyIs(a.SettingsDigest(l.State))
		return nil
	})
	return standing, value, err
}

// SettingsDigest digests the settings that decide which lists there are, and what enforces them.
func (a *Anchor) SettingsDigest(s *state.State) string {
	c := a.Config
	settings := []any{s.Mode.String(), s.Unsigned.String(), s.NoExpired, s.Multi, s.KeepOld, c.Format, c.Sign,
		c.Guard, c.GuardStrict, c.GuardSeal, c.GuardModules, c.GuardDoubt, c.GuardContainers, c.GuardExempt, c.PolicySigners, c.Advisories}
	if s.RefuseOlder { // the default came later than digests of settings
		settings = append(settings, config.DeploymentRefuse)
	}
	text, err := json.Marshal(settings)
	if err != nil {
		panic(err) // these are texts and numbers
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Certify has the TPM state the value of the counter, over what state returns. Neither counter
// nor epoch rises between both. Certify calls state once, whether there is a TPM or not.
func (a *Anchor) Certify(ctx context.Context, state func() []byte) (c tpm.Certificate, err error) {
	ctx, cancel := context.WithTimeout(ctx, passPatience)
	defer cancel()
	a.busy.Lock()
	defer a.busy.Unlock()
	data := state()
	if !a.On() {
		return c, errNone
	}
	s, err := a.secret()
	if err == nil {
		c, err = a.Chip.Certify(ctx, s.counter(), data)
	}
	return c, err
}

// Identity returns by which keys the TPM is known.
func (a *Anchor) Identity(ctx context.Context) (id tpm.Identity, err error) {
	if !a.On() {
		return id, errOff
	}
	ctx, cancel := context.WithTimeout(ctx, keyPatience)
	defer cancel()
	if id, err = a.Chip.Identity(ctx); err != nil {
		return id, explain(err)
	}
	return id, nil
}

// Prove has the TPM decrypt a credential that a verifier made for it. Its error is
// [api.InvalidArgument] if that is for another TPM.
func (a *Anchor) Prove(ctx context.Context, c tpm.Credential) (secret []byte, err error) {
	if !a.On() {
		return nil, errOff
	}
	ctx, cancel := context.WithTimeout(ctx, keyPatience)
	defer cancel()
	switch secret, err = a.Chip.Activate(ctx, c); {
	case errors.Is(err, tpm.ErrCredential):
		return nil, api.Errorf(api.InvalidArgument, "%v", err)
	case err != nil:
		return nil, explain(err)
	}
	return secret, nil
}

// rise increments the counter from value.
func (a *Anchor) rise(ctx context.Context, s secret, value uint64) (uint64, error) {
	failpoint.Hit("epoch", "before-increment")
	if err := a.Chip.Increment(ctx, s.counter()); err != nil {
		return value, err
	}
	failpoint.Hit("epoch", "after-increment")
	a.last.rose(value+1, a.Now())
	return value + 1, nil
}

// tell tells the administrator of an error, or that there is none.
func (a *Anchor) tell(err error) {
	a.last.mu.Lock()
	a.last.err = err
	a.last.mu.Unlock()
	if errors.Is(err, errDoubt) {
		return // the ledger told of it
	}
	a.Exec.Enter(context.Background(), "note", func(l *ledger.Ledger) error {
		if err != nil {
			l.AnchorFailed(err, a.advice(err))
		} else {
			l.AnchorFine()
		}
		return nil
	})
}

// advice says what to do about an error.
func (a *Anchor) advice(err error) string {
	switch {
	case errors.Is(err, errNone) && a.bound() != "":
		return "put " + a.path() + " back as it was; or, if it is lost: digestctl anchor rebind --reason WHY"
	case errors.Is(err, errNone):
		return `enable it: digestctl anchor enable; or set anchor = "off" in digestd.conf`
	case errors.Is(err, tpm.ErrAuth):
		return "put " + a.path() + " back as it was; or, if it is lost: digestctl anchor rebind --reason WHY"
	}
	return "digestd tries again by itself; see that the TPM is there: " + a.place.Device
}

func (l *last) learned(value uint64, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counter, l.read = value, now
}

// fine reports whether the counter was read, and nothing failed since.
func (l *last) fine() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.read.IsZero() && l.err == nil
}

func (l *last) rose(value uint64, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counter, l.read, l.risen = value, now, now
}

// Begin compares the index with the counter before anybody is served. It waits for the TPM
// two seconds, and the loop goes on then.
func (a *Anchor) Begin(ctx context.Context) {
	if !a.On() {
		if a.Snapshot().Past.Doubt != policy.NoDoubt {
			a.Exec.Enter(ctx, "anchor", func(l *ledger.Ledger) error {
				l.NoAnchor()
				return nil
			})
		}
		return
	}
	done := make(chan error, 1)
	go func() { done <- a.Pass(ctx) }()
	select {
	case <-done:
	case <-time.After(startPatience):
		a.Logger.Warn("the TPM does not answer", "device", a.place.Device)
	}
}

// Loop anchors what is decided until ctx ends.
func (a *Anchor) Loop(ctx context.Context) error {
	if !a.On() {
		return nil
	}
	a.running.Store(true)
	defer a.running.Store(false)
	var due, again host.Pause
	retry := firstRetry
	if !a.last.fine() {
		again.Start(retry) // the start did not reach the TPM
	}
	var waiting []chan error
	for {
		now := false
		select {
		case <-ctx.Done():
			return nil
		case <-a.Anchoring:
			pending, urgent := a.state(ctx)
			now = urgent
			if pending && !urgent && !due.Begun() {
				due.Start(a.untilDue())
			}
		case done := <-a.asked:
			waiting, now = append(waiting, done), true
		case <-due.C():
			due.Ended()
			now = true
		case <-again.C():
			again.Ended()
			now = true
		}
		if !now {
			continue
		}
		waiting = append(waiting, a.more()...)
		err := a.Pass(ctx)
		for _, done := range waiting {
			done <- err
		}
		waiting = nil
		switch {
		case err == nil:
			retry = firstRetry
			if left, _ := a.state(ctx); left && !due.Begun() {
				due.Start(a.untilDue()) // decided since
			}
		case errors.Is(err, errDoubt), errors.Is(err, errNone):
			retry = firstRetry // somebody has to act
		default:
			again.Start(retry)
			retry = min(2*retry, lastRetry)
		}
	}
}

// more are others that wait by now.
func (a *Anchor) more() (waiting []chan error) {
	for {
		select {
		case done := <-a.asked:
			waiting = append(waiting, done)
		default:
			return waiting
		}
	}
}

// state is whether something is to be anchored, and whether at once.
func (a *Anchor) state(ctx context.Context) (due, urgent bool) {
	a.Exec.Do(ctx, func() error {
		p := a.Exec.State.Past
		due, urgent = p.Anchor.Due, p.Urgent
		return nil
	})
	return due, urgent
}

// untilDue is how long what is not urgent waits.
func (a *Anchor) untilDue() time.Duration {
	a.last.mu.Lock()
	defer a.last.mu.Unlock()
	if a.last.risen.IsZero() {
		return Interval
	}
	return max(0, min(Interval, a.last.risen.Add(Interval).Sub(a.Now())))
}

// Settled waits until what was decided by now is anchored, at most two seconds. It returns
// [api.AnchorNone] where there is no anchor.
func (a *Anchor) Settled(ctx context.Context) string {
	if !a.On() || a.bound() == "" {
		return api.AnchorNone
	}
	if !a.running.Load() {
		return api.AnchorPending
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	done := make(chan error, 1)
	select {
	case a.asked <- done:
	case <-ctx.Done():
		return api.AnchorPending
	}
	select {
	case err := <-done:
		if err == nil {
			return api.AnchorDone
		}
	case <-ctx.Done():
	}
	return api.AnchorPending
}

// Last anchors what was decided, at the end of the process.
func (a *Anchor) Last() {
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	if due, _ := a.state(ctx); !a.On() || !due {
		return
	}
	done := make(chan error, 1)
	go func() { done <- a.Pass(ctx) }()
	select {
	case err := <-done:
		if err != nil {
			a.Logger.Warn("not anchored", "error", err)
		}
	case <-ctx.Done():
		a.Logger.Warn("not anchored", "error", ctx.Err())
	}
}
