// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store"
	"github.com/digestd/digestd/store/record"
)

// ErrStopping means that the daemon no longer takes work.
var ErrStopping = errors.New("digestd is stopping")

// Executor lets one event at a time change the state, in the order they come, and
// carries out what it asks for. The goroutine that brings an event does the work: to hand it to
// another goroutine costs a package manager that waits two wake-ups.
type Executor struct {
	State *ledger.Ledger
	// Published is what readers see. They wait for nobody.
	Published atomic.Pointer[view.Snapshot]
	Dir       directoryEffects
	Index     IndexEffects
	log       *slog.Logger
	Now       func() time.Time
	Units     units
	Wakes     [state.WakeKinds][]chan<- struct{}
	Hooks     Hooks
	beside    func(names []string) error // makes lists durable of which some were begun to be; nil: none were
	turn      chan struct{}              // holds one token while somebody has the state
	Closed    chan struct{}              // Closed when nobody gets it any more
}

// units names the units of the service manager that processes belong to.
type units struct {
	Of    func(pid uint32) string // "" for none
	known map[uint32]string       // since the last commit
}

// Hooks are called by an executor. Each may be nil, but for Bodies.
type Hooks struct {
	Before func(*ledger.Ledger)                  // hears what readers are about to see
	After  func(Done)                            // what follows outside of the turn, for labels
	Lost   func(w state.Withdrawal, data []byte) // hears of what left the directory
	Passed func(string, failpoint.Instant)       // hears of instants, in tests
	Lent   func() []*x509.Certificate            // may have signed lists that a crash left, besides our own

	Enforcer Enforcer // nil where the kernel reads lists itself, or nothing enforces
	Bodies   Bodies   // never nil
}

// Done is what a plan did to lists that files are bound to.
type Done struct {
	Gone    []ledger.Withdrawn // left the directory
	Renewed []ledger.Withdrawn // were replaced under the same name
}

func (d *Done) Add(more Done) {
	d.Gone, d.Renewed = append(d.Gone, more.Gone...), append(d.Renewed, more.Renewed...)
}

// Run waits until ctx ends, and then for the work under way.
func (x *Executor) Run(ctx context.Context) {
	<-ctx.Done()
	x.turn <- struct{}{}
	close(x.Closed)
}

// Do runs fn when its turn has come. fn must not wait for anything but the disk.
func (x *Executor) Do(ctx context.Context, fn func() error) (err error) {
	select {
	case x.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-x.Closed:
		return ErrStopping
	}
	defer func() { <-x.turn }()
	return fn()
}

// Decide lets somebody's act change the state. After an error nothing has happened, so
// the act can be repeated, and no later commit brings it into effect; after its intent
// is durable it succeeds, and what is left to do is done later.
func (x *Executor) Decide(ctx context.Context, event string, act func(*ledger.Ledger) error) error {
	return x.event(ctx, event, true, act)
}

// Enter lets the state learn a fact. If it cannot be recorded it is true nevertheless,
// and later commits carry it.
func (x *Executor) Enter(ctx context.Context, event string, fact func(*ledger.Ledger) error) error {
	return x.event(ctx, event, false, fact)
}

func (x *Executor) event(ctx context.Context, name string, act bool, fn func(*ledger.Ledger) error) error {
	var d Done
	err := x.Do(ctx, func() (err error) {
		d, err = x.Step(name, act, fn)
		return err
	})
	x.Follow(d)
	return err
}

// Follow does what follows plans outside of the turn.
func (x *Executor) Follow(d Done) {
	if x.Hooks.After != nil && len(d.Gone)+len(d.Renewed) > 0 {
		x.Hooks.After(d)
	}
}

// Step is one event within a turn.
func (x *Executor) Step(name string, act bool, fn func(*ledger.Ledger) error) (d Done, err error) {
	s := x.State
	s.Clock = x.Now()
	s.Begin()
	err = fn(s)
	if err != nil {
		s.Rollback()
		s.Show()
	} else {
		if act {
			s.Record()
		}
		d, err = x.carry(name, act, s.Seal())
	}
	x.Rest()
	return d, err
}

// carry carries out a plan and what its effects lead to.
func (x *Executor) carry(name string, act bool, p *state.Plan) (d Done, err error) {
	s := x.State
	if act && !p.Visible() && p.Intent == nil {
		intent := s.Queue
		p.Intent, s.Queue = &intent, state.Records{}
	}
	if err := x.prepare(name, p); err != nil {
		for _, c := range p.Publish {
			x.Dir.Discard(c.Staged)
		}
		s.Rollback()
		s.Show()
		return d, notBegun{err}
	}
	s.Stand()
	record, synced, sync, poke, show, drop := p.Record, p.Synced, p.Sync, p.Poke, p.Show, p.Drop
	x.discard(p)
	if p.Unknown {
		if uerr := x.addUnknown(p); uerr != nil {
			err = errors.Join(err, fmt.Errorf("cannot withdraw the lists that an interrupted transaction left: %w", uerr))
		}
	}
	for first := true; p.Visible(); first = false {
		// A failure may ask for more work.
		if !first && p.Intent != nil {
			if cerr := x.commit(p.Intent); cerr != nil {
				p.Intent.Join(s.Queue)
				s.Queue = *p.Intent
			}
		}
		err = errors.Join(err, x.withdraw(name, p, &d))
		err = errors.Join(err, x.publish(name, p, &d))
		x.setAside(name, p)
		s.Reuse(p)
		p = s.Seal()
		x.discard(p)
		record, synced, sync, show = record || p.Record, synced || p.Synced, append(sync, p.Sync...), show || p.Show
		drop = cmp.Or(drop, p.Drop)
	}
	s.Reuse(p)
	if poke {
		if perr := x.Dir.Poke(); perr != nil {
			s.Unsettled = true
			err = errors.Join(err, perr)
		}
	}
	late := func(what string, failed error) {
		if failed == nil {
			return
		}
		if act {
			x.log.Error(what, "event", name, "error", failed) // it has happened
			return
		}
		err = errors.Join(err, failed)
	}
	if synced {
		x.pass(name, failpoint.BeforeSync)
		late("lists not synced", x.makeDurable(sync))
	}
	if record {
		late("not recorded yet", x.record(name))
	}
	if drop != "" && s.Queue.Empty() { // else the next start removes it
		if derr := x.Hooks.Bodies.Remove(drop); derr != nil {
			x.log.Warn("body of an own list not removed", "path", drop, "error", derr)
		}
	}
	if record || show {
		s.Show()
	}
	return d, err
}

// record makes durable what is queued.
func (x *Executor) record(name string) error {
	s := x.State
	s.ClearMark()
	if s.Queue.Empty() {
		return nil
	}
	x.pass(name, failpoint.BeforeCommit)
	queue := s.Queue
	s.Queue = state.Records{}
	if err := x.commit(&queue); err != nil {
		queue.Join(s.Queue) // for the next
		s.Queue = queue
		return err
	}
	x.pass(name, failpoint.AfterCommit)
	return nil
}

// pass is an instant at which tests may stop or look.
func (x *Executor) pass(event string, instant failpoint.Instant) {
	failpoint.Hit(event, instant)
	if x.Hooks.Passed != nil {
		x.Hooks.Passed(event, instant)
	}
}

// discard removes staged lists that are not wanted any more.
func (x *Executor) discard(p *state.Plan) {
	for _, list := range p.Discard {
		x.Dir.Discard(list)
	}
}

// notBegun is why a plan was not begun: nothing has changed.
type notBegun struct{ error }

func (e notBegun) Unwrap() error { return e.error }

// prepare does what must be durable before anything can be seen. After an error
// nothing has changed.
func (x *Executor) prepare(name string, p *state.Plan) (err error) {
	s := x.State
	if p.Body != nil {
		if err := x.Hooks.Bodies.Keep(p.Body.From, p.Body.To); err != nil {
			return fmt.Errorf("cannot keep list: %w", err)
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, x.Hooks.Bodies.Keep(p.Body.To, p.Body.From)) // it is the caller's again
			}
		}()
	}
	if p.Prefetch != nil {
		if err := x.Dir.SetPrefetch(*p.Prefetch); err != nil {
			return err
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, x.Dir.SetPrefetch(s.Undo.Prefetch))
			}
		}()
	}
	if p.Intent == nil || p.Intent.Empty() {
		return nil
	}
	x.pass(name, failpoint.BeforeIntent)
	all := s.Undo.Queue // what earlier events left comes first
	all.Join(*p.Intent)
	all.Batch.Urgent = p.Urgent
	chain := s.Chain
	if err := x.commit(&all); err != nil {
		s.Chain = chain // these entries do not come
		return err
	}
	s.Undo.Queue = state.Records{}
	x.pass(name, failpoint.AfterIntent)
	x.show() // a user who sees a list leave can ask why
	return nil
}

// withdraw removes lists from the directory.
func (x *Executor) withdraw(name string, p *state.Plan, d *Done) (err error) {
	if len(p.Withdraw) == 0 {
		return nil
	}
	s := x.State
	x.pass(name, failpoint.BeforeWithdraw)
	var many []state.Withdrawal
	var out []List // what they had
	for _, w := range p.Withdraw {
		if w.Kept == nil {
			many = append(many, w)
			continue
		}
		gone := ledger.Withdrawn{Entry: w.Entry}
		gone.Data, _ = x.Dir.Read(w.Name, nil)
		out = append(out, List{Name: w.Name, Content: gone.Data})
		old, terr := x.Dir.TakeOut(w.Name)
		if terr != nil {
			s.Leave(w.Name, terr)
		}
		w.Kept(old)
		if w.Entry != nil {
			d.Gone = append(d.Gone, gone)
		}
	}
	names := make([]string, len(many))
	for i, w := range many {
		names[i] = w.Name
	}
	if len(many) > 0 {
		contents, errs := x.Dir.RemoveMany(names, func() { x.pass(name, failpoint.BetweenWithdrawals) })
		for i, w := range many {
			_, again := s.Leftovers[w.Name]
			switch {
			case errs == nil || errs[i] == nil:
				s.NotLeft(w.Name)
				if x.Hooks.Lost != nil {
					x.Hooks.Lost(w, contents[i])
				}
				out = append(out, List{Name: w.Name, Content: contents[i]})
				if again {
					s.Log.Info("list removed at last", "list", w.Name)
				}
			case w.Resists != nil:
				err = errors.Join(err, w.Resists(errs[i]))
				continue
			default:
				if s.Leave(w.Name, errs[i]); again {
					continue
				}
				out = append(out, List{Name: w.Name, Content: x.enforces(w.Name)})
			}
			if w.Entry != nil {
				d.Gone = append(d.Gone, ledger.Withdrawn{Entry: w.Entry, Data: contents[i]})
			}
		}
	}
	x.expel(slices.DeleteFunc(out, func(l List) bool { return l.Content == nil }))
	s.TellOfLeftovers()
	x.pass(name, failpoint.AfterWithdraw)
	return err
}

// publish gives staged lists their final names.
func (x *Executor) publish(name string, p *state.Plan, d *Done) (err error) {
	if len(p.Publish) == 0 {
		return nil
	}
	x.pass(name, failpoint.BeforePublish)
	for i, c := range p.Publish {
		p.Publish[i] = state.Publication{} // of a first sync there are many, and each holds much
		var left ledger.Withdrawn
		if c.Previous != nil {
			left.Entry = c.Previous
			if c.Read {
				left.Data, _ = x.Dir.Read(c.Name, nil)
			}
		}
		old := x.enforces(c.Name)
		r := x.appear(c)
		x.pass(name, failpoint.BetweenPublications)
		if r.Err == nil {
			x.admit(c.Name, c.Largest, old)
		}
		if r.Err == nil && c.Previous != nil {
			d.Renewed = append(d.Renewed, left)
		}
		err = errors.Join(err, c.Then.Appeared(r))
	}
	x.pass(name, failpoint.AfterPublish)
	return err
}

// appear publishes one list. If it fails, the list is not in the directory.
func (x *Executor) appear(c state.Publication) (r state.Published) {
	if !x.State.MetaMark.Durable && !c.Recorded {
		x.Dir.Discard(c.Staged)
		return state.Published{Err: fmt.Errorf("cannot publish %s: nothing durable says that it comes", c.Name)}
	}
	if c.Keep {
		r.Old, r.Err = x.Dir.PublishKeeping(c.Staged, c.Name)
	} else {
		r.Err = x.Dir.Publish(c.Staged, c.Name, c.Poke)
	}
	if r.Err != nil {
		x.Dir.Discard(c.Staged)
		return r
	}
	if r.Stamp, r.Err = x.Dir.Stat(c.Name); r.Err != nil {
		r.Err = errors.Join(r.Err, x.Dir.Remove(c.Name)) // it would be nobody's
	}
	return r
}

// setAside takes files out of the directory that do not belong there.
func (x *Executor) setAside(name string, p *state.Plan) {
	if len(p.Aside) == 0 {
		return
	}
	x.pass(name, failpoint.BeforeAside)
	for _, r := range p.Aside {
		var err error
		aside := ""
		if r.Drop {
			err = x.Dir.Remove(r.Name)
		} else {
			aside, err = x.Dir.Quarantine(r.Name, r.Stamp)
		}
		r.Then(aside, err)
	}
	x.pass(name, failpoint.AfterAside)
}

// manyLists is how many are synced faster by syncing their whole file system.
const manyLists = 64

// makeDurable makes lists and their directory durable, the faster way.
func (x *Executor) makeDurable(names []string) (err error) {
	switch {
	case x.beside != nil:
		err = x.beside(names)
	case len(names) > manyLists:
		err = x.Dir.SyncAll()
	case len(names) > 0 || x.Dir.Dirty():
		err = x.Dir.Sync(names...)
	}
	if err != nil {
		x.State.Unsynced(names)
	}
	return err
}

// commit makes records durable. The signals of it are due then.
func (x *Executor) commit(r *state.Records) error {
	s := x.State
	for i, e := range r.Events {
		// The process that did it is still there.
		if e.Unit == "" && e.PID != 0 {
			e.Unit = x.unit(e.PID)
		}
		r.Events[i].Chain = s.Chain.Put(&r.Batch, e)
	}
	x.drop(r)
	if len(r.Events)+len(r.Drop) > 0 {
		s.Chain.Record(&r.Batch)
	}
	r.Events, r.Drop = nil, nil
	clear(x.Units.known)
	s.PutTaken(r)
	if err := x.Index.Commit(&r.Batch); err != nil {
		x.indexFailed(err)
		return err
	}
	s.TellOfRestored(x.Index.Restored())
	if x.Hooks.Enforcer != nil {
		x.enforced(x.Hooks.Enforcer.Committed())
	}
	s.Committed(r)
	if err := x.Index.Behind(); err != nil {
		x.indexFailed(err) // it is durable, but not for those who read the log
		return nil
	}
	s.Written()
	return nil
}

// drop removes entries for which the log has no room. The chain remembers the hash of the
// last one.
func (x *Executor) drop(r *state.Records) {
	if len(r.Drop) == 0 {
		return
	}
	came := make(map[uint64]int, len(r.Events)) // with the same batch
	for i := range r.Events {
		came[r.Events[i].Seq] = i
	}
	for _, seq := range r.Drop {
		var e record.Event // if it cannot be read, its number alone
		e.Seq = seq
		if i, ok := came[seq]; ok {
			e = r.Events[i]
		} else if kept, err := x.Index.EventsAfter(seq-1, 1); err == nil && len(kept) == 1 && kept[0].Seq == seq {
			e = kept[0]
		}
		x.State.Chain.Drop(&r.Batch, e)
	}
}

// indexFailed tells the state why nothing is recorded.
func (x *Executor) indexFailed(err error) {
	x.State.IndexFailed(err, errors.Is(err, store.ErrStateReplaced))
}

func (x *Executor) unit(pid uint32) string {
	if x.Units.Of == nil {
		return ""
	}
	unit, known := x.Units.known[pid]
	if !known {
		if unit = x.Units.Of(pid); x.Units.known == nil {
			x.Units.known = map[uint32]string{}
		}
		x.Units.known[pid] = unit
	}
	return unit
}

// show lets readers see the state.
func (x *Executor) show() {
	if x.Hooks.Before != nil {
		x.Hooks.Before(x.State)
	}
	x.Published.Store(x.State.View())
	if x.State.Observer != nil {
		x.State.Observer.Changed()
	}
}

// Start enters what opening the index brought to light, besides what was loaded.
func (x *Executor) Start(r store.Recovery) error {
	x.State.Stand()
	_, err := x.Step("start", false, func(s *ledger.Ledger) error {
		if text := recovered(r); text != "" {
			s.Recovered(text, r.Rebuild())
		}
		s.Show()
		return nil
	})
	return err
}

// End is the end of a transaction: the disk works on its lists while memory is brought
// up to date.
func (x *Executor) End(ctx context.Context, t *state.Transaction) (published, withdrawn int, err error) {
	var d Done
	err = x.Do(ctx, func() (err error) {
		x.pass("end", failpoint.BeforeSync)
		written, begun := make(chan error, 1), slices.Clip(t.Touched)
		go func() { written <- x.syncPublished(t, begun) }()
		x.beside = func(names []string) error {
			err := <-written
			var more []string // that came back since
			if len(names) > len(begun) {
				more = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(begun, name) })
			}
			if err == nil && (len(more) > 0 || x.Dir.Dirty()) {
				err = x.Dir.Sync(more...)
			}
			return err
		}
		defer func() { x.beside = nil }()
		d, err = x.Step("end", false, func(s *ledger.Ledger) error {
			published, withdrawn = s.End(t)
			return nil
		})
		return err
	})
	x.Follow(d)
	return published, withdrawn, err
}

// syncPublished makes lists durable that t has published. A package manager
// that has just unpacked syncs the whole file system it installed into: where many
// lists lie on the same one, to do that beside it is to wait for the same writes,
// and to ask for each list would hold up both.
func (x *Executor) syncPublished(t *state.Transaction, names []string) error {
	if len(names) > manyLists && !t.Unlisted && x.Dir.On(t.RootDev) {
		return x.Dir.SyncAll()
	}
	return x.Dir.SyncLists(names)
}

// Rest ends a turn: readers, the log and those who sleep hear of it.
func (x *Executor) Rest() {
	s := x.State
	if s.Plan.Show {
		s.Plan.Show = false
		x.show()
	}
	for _, n := range s.Log.Take() {
		x.log.Log(context.Background(), slog.Level(n.Level), n.Text, n.Args...)
	}
	for kind, wanted := range s.Wake {
		if wanted {
			for _, c := range x.Wakes[kind] {
				Wake(c)
			}
		}
	}
	s.Wake = [state.WakeKinds]bool{}
	s.TellAll()
}

func New(s *ledger.Ledger, index IndexEffects, dir directoryEffects, unitOf func(uint32) string, log *slog.Logger, now func() time.Time) *Executor {
	return &Executor{State: s, Dir: dir, Index: index, log: log, Now: now, Units: units{Of: unitOf}, turn: make(chan struct{}, 1), Closed: make(chan struct{}), Hooks: Hooks{Bodies: BodyFiles{}}}
}

// recovered says what opening the index brought to light, "" for nothing.
func recovered(r store.Recovery) string {
	switch r.Fate {
	case store.Repaired:
		return "the index had lost its last commit, which digestd restored from the commit file"
	case store.RolledBack:
		return fmt.Sprintf("the index was rolled back: %d commits are lost; there is a copy in %s", r.Lost, r.Aside)
	case store.Missing:
		return fmt.Sprintf("the index is missing; digestd started a new one after %d commits and no longer knows which versions were superseded, except for installed packages", r.Lost)
	case store.Damaged:
		return fmt.Sprintf("the index was damaged (%v) and is kept in %s; digestd started a new one and no longer knows which versions were superseded, except for installed packages", r.Cause, r.Aside)
	}
	return ""
}

func Wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// SettleIndex looks whether the index still lies in the state directory, and puts
// it there if it can.
func (x *Executor) SettleIndex() error {
	err := x.Index.Settle()
	if err != nil {
		x.indexFailed(err)
		return err
	}
	x.State.Solved("state")
	x.State.TellOfRestored(x.Index.Restored())
	return nil
}
