// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store"
)

// errStopping means that the daemon no longer takes work.
var errStopping = errors.New("digestd is stopping")

// executor lets one event at a time change the state, in the order they come, and
// carries out what it asks for. Whoever brings an event does the work: to hand it to
// another goroutine costs a package manager that waits two wake-ups.
type executor struct {
	state *ledger.Ledger
	// published is what readers see. They wait for nobody.
	published atomic.Pointer[view.Snapshot]
	dir       directoryEffects
	index     indexEffects
	log       *slog.Logger
	now       func() time.Time
	units     units
	wakes     [state.WakeKinds][]chan<- struct{}
	hooks     executorHooks
	beside    func(names []string) error // makes lists durable of which some were begun to be; nil: none were
	turn      chan struct{}              // holds one token while somebody has the state
	closed    chan struct{}              // closed when nobody gets it any more
}

// units names the units of the service manager that processes belong to.
type units struct {
	of    func(pid uint32) string // "" for none
	known map[uint32]string       // since the last commit
}

// executorHooks are called by an executor. Each may be nil.
type executorHooks struct {
	before func(*ledger.Ledger)                  // hears what readers are about to see
	after  func(done)                            // what follows outside of the turn, for labels
	lost   func(w state.Withdrawal, data []byte) // hears of what left the directory
	passed func(string, failpoint.Instant)       // hears of instants, in tests
}

// done is what a plan did to lists that files are bound to.
type done struct {
	gone    []ledger.Withdrawn // left the directory
	renewed []ledger.Withdrawn // were replaced under the same name
}

func (d *done) add(more done) {
	d.gone, d.renewed = append(d.gone, more.gone...), append(d.renewed, more.renewed...)
}

// run waits until ctx ends, and then for the work under way.
func (x *executor) run(ctx context.Context) {
	<-ctx.Done()
	x.turn <- struct{}{}
	close(x.closed)
}

// do runs fn when its turn has come. fn must not wait for anything but the disk.
func (x *executor) do(ctx context.Context, fn func() error) (err error) {
	select {
	case x.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-x.closed:
		return errStopping
	}
	defer func() { <-x.turn }()
	return fn()
}

// decide lets somebody's act change the state. After an error nothing has happened, so
// the act can be repeated, and no later commit brings it into effect; after its intent
// is durable it succeeds, and what is left to do is done later.
func (x *executor) decide(ctx context.Context, event string, act func(*ledger.Ledger) error) error {
	return x.event(ctx, event, true, act)
}

// enter lets the state learn a fact. If it cannot be recorded it is true nevertheless,
// and later commits carry it.
func (x *executor) enter(ctx context.Context, event string, fact func(*ledger.Ledger) error) error {
	return x.event(ctx, event, false, fact)
}

func (x *executor) event(ctx context.Context, name string, act bool, fn func(*ledger.Ledger) error) error {
	var d done
	err := x.do(ctx, func() (err error) {
		d, err = x.step(name, act, fn)
		return err
	})
	x.follow(d)
	return err
}

// follow does what follows plans outside of the turn.
func (x *executor) follow(d done) {
	if x.hooks.after != nil && len(d.gone)+len(d.renewed) > 0 {
		x.hooks.after(d)
	}
}

// step is one event within a turn.
func (x *executor) step(name string, act bool, fn func(*ledger.Ledger) error) (d done, err error) {
	s := x.state
	s.Clock = x.now()
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
	x.rest()
	return d, err
}

// carry carries out a plan and what its effects lead to.
func (x *executor) carry(name string, act bool, p *state.Plan) (d done, err error) {
	s := x.state
	if act && !p.Visible() && p.Intent == nil {
		intent := s.Queue
		p.Intent, s.Queue = &intent, state.Records{}
	}
	if err := x.prepare(name, p); err != nil {
		for _, c := range p.Publish {
			x.dir.Discard(c.Staged)
		}
		s.Rollback()
		s.Show()
		return d, notBegun{err}
	}
	s.Stand()
	record, synced, sync, poke, show := p.Record, p.Synced, p.Sync, p.Poke, p.Show
	x.discard(p)
	if p.Unknown {
		if uerr := x.addUnknown(p); uerr != nil {
			err = errors.Join(err, fmt.Errorf("cannot take the lists out of the directory yet that an interrupted transaction left: %w", uerr))
		}
	}
	for first := true; p.Visible(); first = false {
		// What fails may ask for more.
		if !first && p.Intent != nil {
			if cerr := x.commit(p.Intent); cerr != nil {
				p.Intent.Join(s.Queue)
				s.Queue = *p.Intent
			}
		}
		err = errors.Join(err, x.withdraw(name, p, &d))
		err = errors.Join(err, x.publish(name, p, &d))
		x.setAside(name, p)
		p = s.Seal()
		x.discard(p)
		record, synced, sync, show = record || p.Record, synced || p.Synced, append(sync, p.Sync...), show || p.Show
	}
	if poke {
		if perr := x.dir.Poke(); perr != nil {
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
	if record || show {
		s.Show()
	}
	return d, err
}

// record makes durable what is queued.
func (x *executor) record(name string) error {
	s := x.state
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
func (x *executor) pass(event string, instant failpoint.Instant) {
	failpoint.Hit(event, instant)
	if x.hooks.passed != nil {
		x.hooks.passed(event, instant)
	}
}

// discard removes staged lists that are not wanted any more.
func (x *executor) discard(p *state.Plan) {
	for _, list := range p.Discard {
		x.dir.Discard(list)
	}
}

// notBegun is why a plan was not begun: nothing has changed.
type notBegun struct{ error }

func (e notBegun) Unwrap() error { return e.error }

// prepare does what must be durable before anything can be seen. After an error
// nothing has changed.
func (x *executor) prepare(name string, p *state.Plan) (err error) {
	s := x.state
	if p.Body != nil {
		if err := errors.Join(os.Rename(p.Body.From, p.Body.To), store.SyncDir(filepath.Dir(p.Body.To))); err != nil {
			return fmt.Errorf("cannot keep list: %w", err)
		}
	}
	if p.Prefetch != nil {
		if err := x.dir.SetPrefetch(*p.Prefetch); err != nil {
			return err
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, x.dir.SetPrefetch(s.Undo.Prefetch))
			}
		}()
	}
	if p.Intent == nil || p.Intent.Empty() {
		return nil
	}
	x.pass(name, failpoint.BeforeIntent)
	all := s.Undo.Queue // what earlier events left comes first
	all.Join(*p.Intent)
	if err := x.commit(&all); err != nil {
		return err
	}
	s.Undo.Queue = state.Records{}
	x.pass(name, failpoint.AfterIntent)
	x.show() // whoever sees a list leave can ask why
	return nil
}

// withdraw takes lists out of the directory.
func (x *executor) withdraw(name string, p *state.Plan, d *done) (err error) {
	if len(p.Withdraw) == 0 {
		return nil
	}
	s := x.state
	x.pass(name, failpoint.BeforeWithdraw)
	var many []state.Withdrawal
	for _, w := range p.Withdraw {
		if w.Kept == nil {
			many = append(many, w)
			continue
		}
		gone := ledger.Withdrawn{Entry: w.Entry}
		gone.Data, _ = x.dir.Read(w.Name, nil)
		old, terr := x.dir.TakeOut(w.Name)
		if terr != nil {
			s.Leave(w.Name, terr)
		}
		w.Kept(old)
		if w.Entry != nil {
			d.gone = append(d.gone, gone)
		}
	}
	names := make([]string, len(many))
	for i, w := range many {
		names[i] = w.Name
	}
	if len(many) > 0 {
		contents, errs := x.dir.RemoveMany(names, func() { x.pass(name, failpoint.BetweenWithdrawals) })
		for i, w := range many {
			_, again := s.Leftovers[w.Name]
			switch {
			case errs == nil || errs[i] == nil:
				s.NotLeft(w.Name)
				if x.hooks.lost != nil {
					x.hooks.lost(w, contents[i])
				}
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
			}
			if w.Entry != nil {
				d.gone = append(d.gone, ledger.Withdrawn{Entry: w.Entry, Data: contents[i]})
			}
		}
	}
	s.TellOfLeftovers()
	x.pass(name, failpoint.AfterWithdraw)
	return err
}

// publish gives staged lists their names.
func (x *executor) publish(name string, p *state.Plan, d *done) (err error) {
	if len(p.Publish) == 0 {
		return nil
	}
	x.pass(name, failpoint.BeforePublish)
	for _, c := range p.Publish {
		var left ledger.Withdrawn
		if c.Previous != nil {
			left.Entry = c.Previous
			if c.Read {
				left.Data, _ = x.dir.Read(c.Name, nil)
			}
		}
		r := x.appear(c)
		x.pass(name, failpoint.BetweenPublications)
		if r.Err == nil && c.Previous != nil {
			d.renewed = append(d.renewed, left)
		}
		err = errors.Join(err, c.Then(r))
	}
	x.pass(name, failpoint.AfterPublish)
	return err
}

// appear publishes one list. If it fails, the list is not in the directory.
func (x *executor) appear(c state.Publication) (r state.Published) {
	if x.state.MetaMark.Durable == false && !c.Recorded {
		return state.Published{Err: fmt.Errorf("cannot publish %s: nothing durable says that it comes", c.Name)}
	}
	if c.Keep {
		r.Old, r.Err = x.dir.PublishKeeping(c.Staged, c.Name)
	} else {
		r.Err = x.dir.Publish(c.Staged, c.Name, c.Poke)
	}
	if r.Err != nil {
		x.dir.Discard(c.Staged)
		return r
	}
	if r.Stamp, r.Err = x.dir.Stat(c.Name); r.Err != nil {
		r.Err = errors.Join(r.Err, x.dir.Remove(c.Name)) // it would be nobody's
	}
	return r
}

// setAside takes files out of the directory that do not belong there.
func (x *executor) setAside(name string, p *state.Plan) {
	if len(p.Aside) == 0 {
		return
	}
	x.pass(name, failpoint.BeforeAside)
	for _, r := range p.Aside {
		var err error
		aside := ""
		if r.Drop {
			err = x.dir.Remove(r.Name)
		} else {
			aside, err = x.dir.Quarantine(r.Name, r.Stamp)
		}
		r.Then(aside, err)
	}
	x.pass(name, failpoint.AfterAside)
}

// manyLists is how many are synced faster by syncing their whole file system.
const manyLists = 64

// makeDurable makes lists and their directory durable, the faster way.
func (x *executor) makeDurable(names []string) (err error) {
	switch {
	case x.beside != nil:
		err = x.beside(names)
	case len(names) > manyLists:
		err = x.dir.SyncAll()
	case len(names) > 0 || x.dir.Dirty():
		err = x.dir.Sync(names...)
	}
	if err != nil {
		x.state.Unsynced(names)
	}
	return err
}

// commit makes records durable. The signals of it are due then.
func (x *executor) commit(r *state.Records) error {
	s := x.state
	for _, e := range r.Events {
		// Whoever did it is still there.
		if e.Unit == "" && e.PID != 0 {
			e.Unit = x.unit(e.PID)
		}
		r.Batch.PutEvent(e)
	}
	for _, seq := range r.Drop {
		r.Batch.DropEvent(seq) // some may have come with the same batch
	}
	r.Events, r.Drop = nil, nil
	clear(x.units.known)
	s.PutTaken(r)
	if err := x.index.Commit(&r.Batch); err != nil {
		x.indexFailed(err)
		return err
	}
	s.TellOfRestored(x.index.Restored())
	s.Committed(r)
	if err := x.index.Behind(); err != nil {
		x.indexFailed(err) // it is durable, but not for those who read the log
		return nil
	}
	s.Written()
	return nil
}

// indexFailed tells the state why nothing is recorded.
func (x *executor) indexFailed(err error) {
	x.state.IndexFailed(err, errors.Is(err, store.ErrStateReplaced))
}

func (x *executor) unit(pid uint32) string {
	if x.units.of == nil {
		return ""
	}
	unit, known := x.units.known[pid]
	if !known {
		if unit = x.units.of(pid); x.units.known == nil {
			x.units.known = map[uint32]string{}
		}
		x.units.known[pid] = unit
	}
	return unit
}

// show lets readers see the state.
func (x *executor) show() {
	if x.hooks.before != nil {
		x.hooks.before(x.state)
	}
	x.published.Store(x.state.View())
	if x.state.Observer != nil {
		x.state.Observer.Changed()
	}
}

// start enters what opening the index brought to light, besides what was loaded.
func (x *executor) start(r store.Recovery) error {
	x.state.Stand()
	_, err := x.step("start", false, func(s *ledger.Ledger) error {
		if text := recovered(r); text != "" {
			s.Recovered(text, r.Rebuild())
		}
		s.Show()
		return nil
	})
	return err
}

// end is the end of a transaction: the disk works on its lists while memory is brought
// up to date.
func (x *executor) end(ctx context.Context, t *state.Transaction) (published, withdrawn int, err error) {
	var d done
	err = x.do(ctx, func() (err error) {
		x.pass("end", failpoint.BeforeSync)
		written, begun := make(chan error, 1), slices.Clip(t.Touched)
		go func() { written <- x.syncPublished(t, begun) }()
		x.beside = func(names []string) error {
			err := <-written
			var more []string // that came back since
			if len(names) > len(begun) {
				more = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(begun, name) })
			}
			if err == nil && (len(more) > 0 || x.dir.Dirty()) {
				err = x.dir.Sync(more...)
			}
			return err
		}
		defer func() { x.beside = nil }()
		d, err = x.step("end", false, func(s *ledger.Ledger) error {
			published, withdrawn = s.End(t)
			return nil
		})
		return err
	})
	x.follow(d)
	return published, withdrawn, err
}

// syncPublished makes lists durable that t has published. A package manager
// that has just unpacked syncs the whole file system it installed into: where many
// lists lie on the same one, to do that beside it is to wait for the same writes,
// and to ask for each list would hold up both.
func (x *executor) syncPublished(t *state.Transaction, names []string) error {
	if len(names) > manyLists && !t.Unlisted && x.dir.On(t.RootDev) {
		return x.dir.SyncAll()
	}
	return x.dir.SyncLists(names)
}

// rest ends a turn: readers, the log and those who sleep hear of it.
func (x *executor) rest() {
	s := x.state
	if s.Plan.Show {
		s.Plan.Show = false
		x.show()
	}
	for _, n := range s.Log.Take() {
		x.log.Log(context.Background(), slog.Level(n.Level), n.Text, n.Args...)
	}
	for kind, wanted := range s.Wake {
		if wanted {
			for _, c := range x.wakes[kind] {
				wake(c)
			}
		}
	}
	s.Wake = [state.WakeKinds]bool{}
	s.TellAll()
}

func newExecutor(s *ledger.Ledger, index indexEffects, dir directoryEffects, unitOf func(uint32) string, log *slog.Logger, now func() time.Time) *executor {
	return &executor{state: s, dir: dir, index: index, log: log, now: now, units: units{of: unitOf}, turn: make(chan struct{}, 1), closed: make(chan struct{})}
}
