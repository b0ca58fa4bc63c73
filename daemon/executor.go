// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store"
)

// errStopping means that the daemon no longer takes work.
var errStopping = errors.New("digestd is stopping")

// executor lets one event at a time change the state, in the order they come, and
// carries out what it asks for. Whoever brings an event does the work: to hand it to
// another goroutine costs a package manager that waits two wake-ups.
type executor struct {
	state *state
	// published is what readers see. They wait for nobody.
	published atomic.Pointer[view.Snapshot]
	dir       directoryEffects
	index     indexEffects
	log       *slog.Logger
	now       func() time.Time
	unitOf    func(pid uint32) string // names the unit of the service manager that a process belongs to, or ""
	units     map[uint32]string       // since the last commit
	wakes     [wakeKinds][]chan<- struct{}
	hooks     executorHooks
	beside    func() error  // makes lists durable that were begun to be; nil: none were
	turn      chan struct{} // holds one token while somebody has the state
	closed    chan struct{} // closed when nobody gets it any more
}

// executorHooks are called by an executor. Each may be nil.
type executorHooks struct {
	before func(*state)                   // hears what readers are about to see
	after  func(done)                     // what follows outside of the turn, for labels
	lost   func(name string, data []byte) // hears of what left the directory
}

// done is what a plan did to lists that files are bound to.
type done struct {
	gone    []withdrawn // left the directory
	renewed []withdrawn // were replaced under the same name
}

func (d *done) add(more done) {
	d.gone, d.renewed = append(d.gone, more.gone...), append(d.renewed, more.renewed...)
}

func newExecutor(s *state, index indexEffects, dir directoryEffects, unitOf func(uint32) string, log *slog.Logger, now func() time.Time) *executor {
	return &executor{state: s, dir: dir, index: index, log: log, now: now, unitOf: unitOf, turn: make(chan struct{}, 1), closed: make(chan struct{})}
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
func (x *executor) decide(ctx context.Context, event string, act func(*state) error) error {
	return x.event(ctx, event, true, act)
}

// enter lets the state learn a fact. If it cannot be recorded it is true nevertheless,
// and later commits carry it.
func (x *executor) enter(ctx context.Context, event string, fact func(*state) error) error {
	return x.event(ctx, event, false, fact)
}

func (x *executor) event(ctx context.Context, name string, act bool, fn func(*state) error) error {
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
func (x *executor) step(name string, act bool, fn func(*state) error) (d done, err error) {
	s := x.state
	s.clock = x.now()
	s.begin()
	err = fn(s)
	if err != nil {
		s.rollback()
		s.show()
	} else {
		if act {
			s.record()
		}
		d, err = x.carry(name, act, s.seal())
	}
	x.rest()
	return d, err
}

// carry carries out a plan and what its effects lead to.
func (x *executor) carry(name string, act bool, p *plan) (d done, err error) {
	s := x.state
	if act && !p.visible() && p.intent == nil {
		intent := s.queue
		p.intent, s.queue = &intent, records{}
	}
	if err := x.prepare(name, p); err != nil {
		for _, c := range p.publish {
			x.dir.Discard(c.staged)
		}
		s.rollback()
		s.show()
		return d, notBegun{err}
	}
	s.stand()
	record, synced, sync, poke, show := p.record, p.synced, p.sync, p.poke, p.show
	x.discard(p)
	if p.unknown {
		if uerr := x.addUnknown(p); uerr != nil {
			err = errors.Join(err, fmt.Errorf("cannot take the lists out of the directory yet that an interrupted transaction left: %w", uerr))
		}
	}
	for first := true; p.visible(); first = false {
		// What fails may ask for more.
		if !first && p.intent != nil {
			if cerr := x.commit(p.intent); cerr != nil {
				p.intent.join(s.queue)
				s.queue = *p.intent
			}
		}
		err = errors.Join(err, x.withdraw(name, p, &d))
		err = errors.Join(err, x.publish(name, p, &d))
		x.setAside(p)
		p = s.seal()
		x.discard(p)
		record, synced, sync, show = record || p.record, synced || p.synced, append(sync, p.sync...), show || p.show
	}
	if poke {
		if perr := x.dir.Poke(); perr != nil {
			s.unsettled = true
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
		failpoint.Hit(name + "-before-sync")
		late("lists not synced", x.makeDurable(sync))
	}
	if record {
		late("not recorded yet", x.record(name))
	}
	if record || show {
		s.show()
	}
	return d, err
}

// record makes durable what is queued.
func (x *executor) record(name string) error {
	s := x.state
	s.clearMark()
	if s.queue.empty() {
		return nil
	}
	failpoint.Hit(name + "-before-commit")
	queue := s.queue
	s.queue = records{}
	if err := x.commit(&queue); err != nil {
		queue.join(s.queue) // for the next
		s.queue = queue
		return err
	}
	failpoint.Hit(name + "-after-commit")
	return nil
}

// discard removes staged lists that are not wanted any more.
func (x *executor) discard(p *plan) {
	for _, list := range p.discard {
		x.dir.Discard(list)
	}
}

// notBegun is why a plan was not begun: nothing has changed.
type notBegun struct{ error }

func (e notBegun) Unwrap() error { return e.error }

// prepare does what must be durable before anything can be seen. After an error
// nothing has changed.
func (x *executor) prepare(name string, p *plan) (err error) {
	s := x.state
	if p.body != nil {
		if err := errors.Join(os.Rename(p.body.from, p.body.to), store.SyncDir(filepath.Dir(p.body.to))); err != nil {
			return fmt.Errorf("cannot keep list: %w", err)
		}
	}
	if p.prefetch != nil {
		if err := x.dir.SetPrefetch(*p.prefetch); err != nil {
			return err
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, x.dir.SetPrefetch(s.undo.prefetch))
			}
		}()
	}
	if p.intent == nil || p.intent.empty() {
		return nil
	}
	failpoint.Hit(name + "-before-intent")
	all := s.undo.queue // what earlier events left comes first
	all.join(*p.intent)
	if err := x.commit(&all); err != nil {
		return err
	}
	s.undo.queue = records{}
	failpoint.Hit(name + "-after-intent")
	x.show() // whoever sees a list leave can ask why
	return nil
}

// withdraw takes lists out of the directory.
func (x *executor) withdraw(name string, p *plan, d *done) (err error) {
	if len(p.withdraw) == 0 {
		return nil
	}
	s := x.state
	failpoint.Hit(name + "-before-withdraw")
	var many []withdrawal
	for _, w := range p.withdraw {
		if w.kept == nil {
			many = append(many, w)
			continue
		}
		gone := withdrawn{entry: w.entry}
		gone.data, _ = x.dir.Read(w.name, nil)
		old, terr := x.dir.TakeOut(w.name)
		if terr != nil {
			s.leave(w.name, terr)
		}
		w.kept(old)
		if w.entry != nil {
			d.gone = append(d.gone, gone)
		}
	}
	names := make([]string, len(many))
	for i, w := range many {
		names[i] = w.name
	}
	if len(many) > 0 {
		contents, errs := x.dir.RemoveMany(names, func() { failpoint.Hit(name + "-between-lists") })
		for i, w := range many {
			_, again := s.leftovers[w.name]
			switch {
			case errs == nil || errs[i] == nil:
				s.notLeft(w.name)
				if x.hooks.lost != nil {
					x.hooks.lost(w.name, contents[i])
				}
				if again {
					s.log.Info("list removed at last", "list", w.name)
				}
			case w.resists != nil:
				err = errors.Join(err, w.resists(errs[i]))
				continue
			default:
				if s.leave(w.name, errs[i]); again {
					continue
				}
			}
			if w.entry != nil {
				d.gone = append(d.gone, withdrawn{w.entry, contents[i]})
			}
		}
	}
	s.tellOfLeftovers()
	failpoint.Hit(name + "-after-withdraw")
	return err
}

// publish gives staged lists their names.
func (x *executor) publish(name string, p *plan, d *done) (err error) {
	if len(p.publish) == 0 {
		return nil
	}
	failpoint.Hit(name + "-before-publish")
	for _, c := range p.publish {
		var left withdrawn
		if c.previous != nil {
			left.entry = c.previous
			if c.read {
				left.data, _ = x.dir.Read(c.name, nil)
			}
		}
		r := x.appear(c)
		failpoint.Hit(name + "-between-lists")
		if r.err == nil && c.previous != nil {
			d.renewed = append(d.renewed, left)
		}
		err = errors.Join(err, c.then(r))
	}
	failpoint.Hit(name + "-after-publish")
	return err
}

// appear publishes one list. If it fails, the list is not in the directory.
func (x *executor) appear(c publication) (r published) {
	if x.state.metaMark.durable == false && !c.recorded {
		return published{err: fmt.Errorf("cannot publish %s: nothing durable says that it comes", c.name)}
	}
	if c.keep {
		r.old, r.err = x.dir.PublishKeeping(c.staged, c.name)
	} else {
		r.err = x.dir.Publish(c.staged, c.name, c.poke)
	}
	if r.err != nil {
		x.dir.Discard(c.staged)
		return r
	}
	if r.stamp, r.err = x.dir.Stat(c.name); r.err != nil {
		r.err = errors.Join(r.err, x.dir.Remove(c.name)) // it would be nobody's
	}
	return r
}

// setAside takes files out of the directory that do not belong there.
func (x *executor) setAside(p *plan) {
	for _, r := range p.aside {
		var err error
		aside := ""
		if r.drop {
			err = x.dir.Remove(r.name)
		} else {
			aside, err = x.dir.Quarantine(r.name, r.stamp)
		}
		r.then(aside, err)
	}
}

// manyLists is how many are synced faster by syncing their whole file system.
const manyLists = 64

// makeDurable makes lists and their directory durable, the faster way.
func (x *executor) makeDurable(names []string) (err error) {
	switch {
	case x.beside != nil:
		err = x.beside()
	case len(names) > manyLists:
		err = x.dir.SyncAll()
	case len(names) > 0 || x.dir.Dirty():
		err = x.dir.Sync(names...)
	}
	if err != nil {
		x.state.unsynced(names)
	}
	return err
}

// commit makes records durable. The signals of it are due then.
func (x *executor) commit(r *records) error {
	s := x.state
	for _, e := range r.events {
		// Whoever did it is still there.
		if e.Unit == "" && e.PID != 0 {
			e.Unit = x.unit(e.PID)
		}
		r.batch.PutEvent(e)
	}
	for _, seq := range r.drop {
		r.batch.DropEvent(seq) // some may have come with the same batch
	}
	r.events, r.drop = nil, nil
	clear(x.units)
	s.putTaken(r)
	if err := x.index.Commit(&r.batch); err != nil {
		x.indexFailed(err)
		return err
	}
	s.tellOfRestored(x.index.Restored())
	s.committed(r)
	if err := x.index.Behind(); err != nil {
		x.indexFailed(err) // it is durable, but not for those who read the log
		return nil
	}
	s.written()
	return nil
}

// indexFailed tells the state why nothing is recorded.
func (x *executor) indexFailed(err error) {
	x.state.indexFailed(err, errors.Is(err, store.ErrStateReplaced))
}

func (x *executor) unit(pid uint32) string {
	if x.unitOf == nil {
		return ""
	}
	unit, known := x.units[pid]
	if !known {
		if unit = x.unitOf(pid); x.units == nil {
			x.units = map[uint32]string{}
		}
		x.units[pid] = unit
	}
	return unit
}

// show lets readers see the state.
func (x *executor) show() {
	if x.hooks.before != nil {
		x.hooks.before(x.state)
	}
	x.published.Store(x.state.view())
	if x.state.observer != nil {
		x.state.observer.Changed()
	}
}

// start enters what opening the index brought to light, besides what was loaded.
func (x *executor) start(r store.Recovery) error {
	x.state.stand()
	_, err := x.step("start", false, func(s *state) error {
		if text := recovered(r); text != "" {
			s.recovered(text, r.Rebuild())
		}
		s.show()
		return nil
	})
	return err
}

// end is the end of a transaction: the disk works on its lists while memory is brought
// up to date.
func (x *executor) end(ctx context.Context, t *transaction) (published, withdrawn int, err error) {
	var d done
	err = x.do(ctx, func() (err error) {
		failpoint.Hit("end-before-sync")
		written := make(chan error, 1)
		go func() { written <- x.syncPublished(t) }()
		x.beside = func() error {
			err := <-written
			if err == nil && x.dir.Dirty() {
				err = x.dir.Sync()
			}
			return err
		}
		defer func() { x.beside = nil }()
		d, err = x.step("end", false, func(s *state) error {
			published, withdrawn = s.end(t)
			return nil
		})
		return err
	})
	x.follow(d)
	return published, withdrawn, err
}

// syncPublished makes the lists durable that t has published. A package manager
// that has just unpacked syncs the whole file system it installed into: where many
// lists lie on the same one, to do that beside it is to wait for the same writes,
// and to ask for each list would hold up both.
func (x *executor) syncPublished(t *transaction) error {
	if len(t.touched) > manyLists && !t.unlisted && x.dir.On(t.rootDev) {
		return x.dir.SyncAll()
	}
	return x.dir.SyncLists(t.touched)
}

// rest ends a turn: readers, the log and those who sleep hear of it.
func (x *executor) rest() {
	s := x.state
	if s.plan.show {
		s.plan.show = false
		x.show()
	}
	for _, n := range s.log.take() {
		x.log.Log(context.Background(), slog.Level(n.level), n.text, n.args...)
	}
	for kind, wanted := range s.wake {
		if wanted {
			for _, c := range x.wakes[kind] {
				wake(c)
			}
		}
	}
	s.wake = [wakeKinds]bool{}
	s.tellAll()
}
