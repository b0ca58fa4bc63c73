// SPDX-License-Identifier: Apache-2.0

// Package daemon is the service itself: it follows package transactions,
// publishes and withdraws lists, and answers for what it did.
//
// It brings events: sessions of package managers, acts of administrators, comparisons
// with rpm's database, timers. Package ledger decides about them, one at a time, and
// package executor acts. Queries read immutable views and wait for nobody. The list
// directory equals what rpm's database and the index allow: after every transaction, and
// after a start whatever went before. Decisions about versions are package policy's, file
// operations package store's, signatures package rpmdb/pgp's.
package daemon

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"

	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/executor"
	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/look"
	"github.com/digestd/digestd/kernel"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store"
	"golang.org/x/sys/unix"
)

// Daemon is one running service.
type Daemon struct {
	*Host
	*Query
	*Admin
	*OwnLists
	*Verifier
	*Sessions
	notify Notifier

	labels     *Labels
	denier     *Denier
	enroller   *Enroller
	keys       *KeySource
	reconciler *Reconciler
	exporter   *Exporter
	guard      *Guard // nil where nothing is told to it
}

// Surroundings are what a running daemon is connected to.
type Surroundings struct {
	Hook   *net.UnixListener               // where package managers connect
	Left   []Left                          // connections that another digestd left to this one
	Leave  func(Left) error                // leaves one to the next digestd; nil if that cannot be
	Reload <-chan os.Signal                // asks for the configuration, the keys and rpm's database to be read again
	Config func() (config.Config, error)   // reads the configuration again
	Bus    func(ctx context.Context) error // puts the daemon on the bus; called once it can answer
}

// Notifier tells the service manager how the daemon is, in the words of
// sd_notify(3).
type Notifier func(state ...string)

// New prepares a daemon: it takes the state directory for itself, repairs or
// rebuilds the index, and makes the machine's signing key if there is none. It
// serves nothing yet.
func New(c config.Config, log *slog.Logger, notify Notifier) (_ *Daemon, err error) {
	d := newDaemon(c, log, notify)
	defer func() {
		if err != nil {
			d.Close()
		}
	}()
	// The index comes last: only it tells, and only once, that it was lost.
	if d.root, err = kernel.OpenRoot(c.Root); err != nil {
		return nil, err
	}
	d.Query.looks = look.NewPool(c.Root)
	dir, err := store.OpenDir(c.Lists)
	if err != nil {
		return nil, err
	}
	d.dir = diskDirectory{dir}
	index, recovery, err := store.Open(c.State)
	if err != nil {
		return nil, err
	}
	d.index = index
	if _, err := dir.Sweep(); err != nil {
		log.Warn("staging directory not emptied", "error", err)
	}
	if err = d.begin(recovery); err != nil {
		return nil, err
	}
	return d, nil
}

// newDaemon returns a daemon that has nothing yet to work on. Its machine is this one.
func newDaemon(c config.Config, log *slog.Logger, notify Notifier) *Daemon {
	h := newHost(c, log)
	d := &Daemon{Host: h, notify: notify}
	d.labels = &Labels{Host: h}
	d.denier = &Denier{Host: h, labels: d.labels, denying: make(chan struct{}, 1)}
	d.enroller = &Enroller{Host: h, identities: identityFiles{c.State, c.SigningKey}, unsigned: make(chan struct{}, 1)}
	d.keys = &KeySource{Host: h, enroller: d.enroller, denier: d.denier}
	d.keys.blacklist = d.keys.readBlacklist
	d.enroller.refresh = func(ctx context.Context) error { return d.keys.refreshKeys(ctx, true) }
	d.exporter = &Exporter{Host: h}
	d.reconciler = &Reconciler{Host: h, labels: d.labels, denier: d.denier, enroller: d.enroller, keys: d.keys, rested: make(chan struct{}, 1),
		resync: backoff{first: firstSyncRetry, last: lastSyncRetry}, compared: d.exporter.filesToSign, tell: func() { notify(d.statusLine()) }}
	d.Verifier = &Verifier{Host: h, reconciler: d.reconciler}
	d.Query = &Query{Host: h, enroller: d.enroller, verifier: d.Verifier}
	d.Admin = &Admin{Host: h, keys: d.keys, enroller: d.enroller, denier: d.denier, reconciler: d.reconciler, query: d.Query}
	d.OwnLists = &OwnLists{Host: h, labels: d.labels, enroller: d.enroller, keys: d.keys}
	d.Sessions = &Sessions{Host: h, labels: d.labels, keys: d.keys, reconciler: d.reconciler, exporter: d.exporter}
	return d
}

// begin fills the daemon from its index and directory, which it has now.
func (d *Daemon) begin(recovery store.Recovery) error {
	c := d.config
	mode, err := policy.ParseMode(c.Mode)
	if err != nil {
		return err
	}
	unsigned, err := policy.ParseUnsigned(c.Unsigned)
	if err != nil {
		return err
	}
	id, old, err := d.enroller.identities.load(context.Background(), d.log, d.now())
	if err != nil {
		return err
	}
	d.maker.Store(&maker{order: ledger.NewOrder(nil, c.MultiVersion), format: c.Format, sign: c.Sign, mode: mode, unsigned: unsigned, identity: id})
	s := newState(c, mode, unsigned, d.now())
	s.Signer, s.Certificates = d.maker.Load().signer(), append([]*x509.Certificate{id.cert}, old...)
	d.exec = executor.New(s, d.index, d.dir, d.unitOf, d.log, d.now)
	d.exec.Wakes = [state.WakeKinds][]chan<- struct{}{state.WakeChores: {d.chores}, state.WakeLabels: {d.labelsWanted}, state.WakeClock: {d.timed}, state.WakeLists: {d.listsChanged}}
	d.exec.Hooks = executor.Hooks{Before: d.followState, After: d.afterPlan, Lost: func(w state.Withdrawal, data []byte) { d.exporter.lostList(s, w, data) }}
	if n, counts := d.index.(interface{ Commits() uint64 }); counts && d.config.Guard != "off" {
		d.guard = &Guard{Host: d.Host, guardLink: &guardLink{socket: protocol.DefaultSocket, index: n}}
		d.reconciler.guard = d.guard
		d.exec.Hooks.Enforcer = d.guard
	}
	found, err := readContent(d.index, c.State, recovery.Rebuild())
	if err != nil {
		return err
	}
	if err = s.Load(found); err != nil {
		return err
	}
	s.Keyring = pgp.NewKeyring()
	s.MeetSigner(id.cert, id.path)
	s.TellOfFormat(c.Format, d.features().DigestCache == kernel.Yes)
	return d.exec.Start(recovery)
}

// readContent reads what the state directory has.
func readContent(index executor.IndexEffects, stateDir string, rebuilt bool) (c ledger.Content, err error) {
	if c.Content, err = index.Load(); err != nil {
		return c, fmt.Errorf("cannot load the index: %w", err)
	}
	c.Counter, c.Rebuilt = index.Counter(), rebuilt
	if c.Log, err = roomsOf(index.EachKind); err != nil {
		return c, err
	}
	c.Bodies, err = ownFiles(stateDir, c.Own, rebuilt)
	return c, err
}

// afterPlan writes the labels of files whose lists are gone, or are others now.
func (d *Daemon) afterPlan(done executor.Done) {
	d.labels.refreshLabels(done.Gone)
	d.labels.renew(done.Renewed)
}

// followState has lists made by the settings by which they are judged: before anybody
// sees these.
func (d *Daemon) followState(s *ledger.Ledger) {
	m := *d.maker.Load()
	if m.mode == s.Mode && m.unsigned == s.Unsigned && m.order == s.Order {
		return
	}
	m.mode, m.unsigned, m.order = s.Mode, s.Unsigned, s.Order
	d.maker.Store(&m)
}

// Close releases what New took.
func (d *Daemon) Close() error {
	var err error
	if m := d.maker.Load(); m != nil {
		err = m.identity.key.Close()
	}
	if d.dir != nil {
		err = errors.Join(err, d.dir.Close())
	}
	if d.Query.looks != nil {
		d.Query.looks.Close()
	}
	if d.root != nil {
		err = errors.Join(err, d.root.Close())
	}
	if d.index != nil {
		err = errors.Join(err, d.index.Close())
	}
	return err
}

// Observe makes o hear of what is decided from now on.
func (d *Daemon) Observe(ctx context.Context, o state.Observer) error {
	return d.exec.Enter(ctx, "observe", func(s *ledger.Ledger) error {
		s.Observer = o
		return nil
	})
}

// Run serves until ctx ends, then lets transactions that are being answered
// come to a stop.
func (d *Daemon) Run(ctx context.Context, around Surroundings) error {
	// The owner outlives those who send it work.
	ownerCtx, stopOwner := context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		stopOwner()
		<-d.exec.Closed
	}()
	go d.exec.Run(ownerCtx)
	d.memory.beLean(firstPercent)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	watch := d.reconciler.newWatcher(ctx)
	var group sync.WaitGroup
	start := func(name string, fn func(context.Context) error) {
		group.Go(func() {
			if err := fn(ctx); err != nil {
				cancel(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	d.Sessions.leave = around.Leave
	d.Sessions.takeOver(ctx, around.Left)
	start("hooks", func(ctx context.Context) error { return d.Sessions.serveHooks(ctx, around.Hook) })
	waited := make(chan struct{})
	enough := sync.OnceFunc(func() { close(waited) })
	group.Go(func() {
		defer enough()
		d.firstSync(ctx, enough)
	})
	d.reconciler.awaitSync(ctx, waited)
	if err := around.Bus(ctx); err != nil {
		// Package transactions matter more than questions about them.
		d.log.Error("not on the bus", "error", err)
	}
	carried := d.startCarriers(ctx)
	start("watch", watch.run)
	start("sync", d.reconciler.syncLoop)
	start("chores", d.reconciler.choreLoop)
	start("labels", d.labels.labelLoop)
	start("signing key", d.enroller.signerLoop)
	start("clock", d.reconciler.clockLoop)
	start("denials", d.denier.denialLoop)
	start("kernel", d.reconciler.kernelLoop)
	start("reload", func(ctx context.Context) error { return d.reloadLoop(ctx, around) })
	start("neighbours", d.exporter.neighboursLoop)
	start("watchdog", d.watchdog)
	d.notify("READY=1", d.statusLine())
	<-ctx.Done()
	d.notify("STOPPING=1", "STATUS=Finishing transactions")
	group.Wait()
	d.Sessions.open.Wait()
	d.labels.renewUnheld()
	carried()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// firstSync brings the lists up to date before anybody is told that they are. A
// failure is reported, not fatal: a daemon that runs can be asked what is wrong.
// It calls overtaken if it must wait for a transaction.
func (d *Daemon) firstSync(ctx context.Context, overtaken func()) {
	d.enroller.tellOfSigner(ctx)
	d.notify("STATUS=Comparing lists with rpm's database")
	if _, err := d.reconciler.runSync(ctx, "start", func(stage string, _, _ int) {
		if stage == stageWaiting {
			overtaken()
		}
	}); err != nil && ctx.Err() == nil {
		d.log.Error("first sync failed", "error", err)
	}
	d.notify(d.statusLine())
}

func statID(path string) (dev, ino uint64, err error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, 0, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return st.Dev, st.Ino, nil
}

// roomsOf sorts the entries that an index has, as each calls its function for each.
func roomsOf(each func(fn func(seq uint64, kind string)) error) (l state.LogRooms, err error) {
	err = each(func(seq uint64, kind string) {
		if kind == audit.KindTampered {
			l.Tampering = append(l.Tampering, seq)
		} else {
			l.Decisions = append(l.Decisions, seq)
		}
	})
	return l, err
}
