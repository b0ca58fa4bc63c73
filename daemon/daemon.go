// SPDX-License-Identifier: Apache-2.0

// Package daemon is the service itself: it follows package transactions, publishes and
// withdraws lists, and explains its decisions.
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
	"path/filepath"
	"sync"

	"github.com/digestd/digestd/daemon/admin"
	"github.com/digestd/digestd/daemon/advisory"
	"github.com/digestd/digestd/daemon/anchor"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/audit/carrier"
	"github.com/digestd/digestd/daemon/build"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/deny"
	"github.com/digestd/digestd/daemon/enforce"
	"github.com/digestd/digestd/daemon/enrol"
	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/export"
	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/manage"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/identity"
	"github.com/digestd/digestd/daemon/keysource"
	"github.com/digestd/digestd/daemon/label"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/memory"
	"github.com/digestd/digestd/daemon/ownlist"
	"github.com/digestd/digestd/daemon/policyfile"
	"github.com/digestd/digestd/daemon/query"
	"github.com/digestd/digestd/daemon/reconcile"
	"github.com/digestd/digestd/daemon/session"
	"github.com/digestd/digestd/daemon/verification"
	"github.com/digestd/digestd/kernel"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store"
	"github.com/digestd/digestd/store/listdir"
	"github.com/digestd/digestd/store/record"
)

// Daemon is one running service.
type Daemon struct {
	*host.Host
	answers
	rooms  Rooms
	notify Notifier
}

// answers are the rooms to which D-Bus speaks.
type answers struct {
	*query.Query
	*admin.Admin
	*ownlist.Keeper
	*verification.Verifier
	*manage.Manager
	*anchor.Anchor
	*advisory.Adviser
}

// Rooms are those that work by themselves, or for others.
type Rooms struct {
	Labels     *label.Labels
	Denier     *deny.Denier
	Enroller   *enrol.Enroller
	Keys       *keysource.Source
	Policies   *policyfile.Source
	Reconciler *reconcile.Reconciler
	Exporter   *export.Exporter
	Sessions   *session.Server
	Anchor     *anchor.Anchor
	Guard      *enforce.Guard // nil where nothing is told to it
}

// Rooms returns what the service is put together of, for those who test one of them.
func (d *Daemon) Rooms() Rooms { return d.rooms }

// Surroundings are what a running daemon is connected to.
type Surroundings struct {
	Hook   *net.UnixListener               // where package managers connect
	Left   []session.Left                  // connections that another digestd left to this one
	Leave  func(session.Left) error        // leaves one to the next digestd; nil if that cannot be
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
func New(c config.Config, log *slog.Logger, notify Notifier) (*Daemon, error) {
	return newWith(newDaemon(c, log, notify))
}

// NewSigning is New for a daemon that does not sign with the key in its state directory.
func NewSigning(c config.Config, log *slog.Logger, with identity.Identities) (*Daemon, error) {
	d := newDaemon(c, log, func(...string) {})
	d.rooms.Enroller.Identities = with
	return newWith(d)
}

func newWith(d *Daemon) (_ *Daemon, err error) {
	c, log := d.Config, d.Logger
	defer func() {
		if err != nil {
			d.Close()
		}
	}()
	// The index comes last: only it tells, and only once, that it was lost.
	if d.Root, err = kernel.OpenRoot(c.Root); err != nil {
		return nil, err
	}
	dir, err := listdir.Open(c.Lists)
	if err != nil {
		return nil, err
	}
	d.Dir = host.Directory{Dir: dir}
	index, recovery, err := store.Open(c.State)
	if err != nil {
		return nil, err
	}
	d.Index = index
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
	h := host.New(c, log)
	d := &Daemon{Host: h, notify: notify}
	r := &d.rooms
	r.Labels = &label.Labels{Host: h}
	r.Denier = deny.New(h, r.Labels)
	r.Enroller = enrol.New(h, identity.Files{Dir: c.State, Where: c.SigningKey, MachineID: filepath.Join(c.Root, "etc/machine-id")})
	r.Keys = &keysource.Source{Host: h, Enroller: r.Enroller, Denier: r.Denier}
	r.Keys.Blacklist = r.Keys.ReadBlacklist
	r.Enroller.Refresh = func(ctx context.Context) error { return r.Keys.Refresh(ctx, true) }
	r.Exporter = &export.Exporter{Host: h}
	r.Policies = policyfile.New(h, r.Denier, r.Keys)
	r.Reconciler = &reconcile.Reconciler{Host: h, Policies: r.Policies, Labels: r.Labels, Denier: r.Denier, Enroller: r.Enroller, Keys: r.Keys,
		Rested: make(chan struct{}, 1), Compared: r.Exporter.FilesToSign, Tell: func() { notify(d.statusLine()) }}
	r.Sessions = &session.Server{Host: h, Labels: r.Labels, Keys: r.Keys, Reconciler: r.Reconciler, Policies: r.Policies, Exporter: r.Exporter}
	r.Anchor = anchor.New(h)
	d.Anchor = r.Anchor
	d.Verifier = verification.New(h, r.Reconciler)
	d.Query = query.New(h, d.Verifier)
	d.Admin = admin.New(h, r.Keys, r.Enroller, r.Denier, r.Reconciler, r.Policies, d.Query)
	d.Adviser = advisory.New(h)
	d.Keeper = ownlist.New(h, r.Labels, r.Enroller, r.Keys)
	return d
}

// begin fills the daemon from its index and directory, which it has now.
func (d *Daemon) begin(recovery store.Recovery) error {
	c := d.Config
	mode, err := policy.ParseMode(c.Mode)
	if err != nil {
		return err
	}
	unsigned, err := policy.ParseUnsigned(c.Unsigned)
	if err != nil {
		return err
	}
	loaded, err := d.rooms.Enroller.Identities.Load(context.Background(), d.Logger, d.Now())
	if err != nil {
		return err
	}
	id := loaded.Identity
	d.Builder.Store(&build.Builder{Order: ledger.NewOrder(nil, c.MultiVersion), Format: c.Format, Sign: c.Sign, Mode: mode, Unsigned: unsigned, Identity: id})
	s := newState(c, mode, unsigned, d.Now())
	s.Signer, s.Certificates = d.Builder.Load().Signer(), append([]*x509.Certificate{id.Cert}, loaded.Old...)
	d.Exec = executor.New(s, d.Index, d.Dir, d.UnitOf, d.Logger, d.Now)
	d.Exec.Wakes = [state.WakeKinds][]chan<- struct{}{state.WakeChores: {d.Chores}, state.WakeLabels: {d.LabelsWanted}, state.WakeClock: {d.Timed}, state.WakeLists: {d.ListsChanged}, state.WakeAnchor: {d.rooms.Anchor.Anchoring}}
	hooks := &d.Exec.Hooks
	hooks.Lent = func() []*x509.Certificate { return d.rooms.Reconciler.ImageCertificates(s) }
	hooks.Before, hooks.After, hooks.Lost = d.followState, d.afterPlan, func(w state.Withdrawal, data []byte) { d.rooms.Exporter.LostList(s, w, data) }
	found, err := readContent(d.Index, c.State, recovery.Rebuild())
	if err != nil {
		return err
	}
	if n, counts := d.Index.(interface{ Commits() uint64 }); counts && d.Config.Guard != "off" {
		d.rooms.Guard = enforce.New(d.Host, protocol.DefaultSocket, n)
		d.rooms.Guard.Remember(found.Meta)
		d.rooms.Reconciler.Guard = d.rooms.Guard
		d.rooms.Policies.Changed = d.rooms.Guard.PoliciesChanged
		d.Exec.Hooks.Enforcer = d.rooms.Guard
		d.Exec.Wakes[state.WakeLists] = append(d.Exec.Wakes[state.WakeLists], d.rooms.Guard.Learning)
	} else {
		enforce.Forget(d.Host)
	}
	d.Manager = d.manageGuard()
	s.AdvisoriesBind = d.Adviser.Binds()
	d.Exec.Wakes[state.WakeLists] = append(d.Exec.Wakes[state.WakeLists], d.Adviser.Changed)
	if err = s.Load(found); err != nil {
		return err
	}
	s.Keyring = pgp.NewKeyring()
	s.MeetSigner(id.Cert, id.Path)
	s.TellOfFormat(c.Format, func() bool { return d.DigestCache() == kernel.Yes })
	if loaded.Unread != nil {
		s.Problem("old-certificates", api.SeverityWarning, "cannot read the certificates that signed lists before: "+api.Clean(loaded.Unread.Error())+"; digestd does not recognize the lists signed with them",
			"restore or remove these files, then: systemctl restart digestd")
	}
	if loaded.Foreign != nil {
		enrol.TellOfForeignKey(s, loaded.Foreign)
	}
	if err := d.Exec.Start(recovery); err != nil {
		return err
	}
	return d.Booted()
}

// Booted takes note of the deployment that the machine is running, before anything is done by
// what is installed in it.
func (d *Daemon) Booted() error {
	now, err := d.Machine.Booted()
	if err != nil {
		d.Logger.Warn("not known which deployment the machine is running", "error", err)
		return nil
	}
	_, err = d.Exec.Step("booted", false, func(s *ledger.Ledger) error {
		s.Booted(record.Deployment{Kind: now.Kind, ID: now.ID, Name: now.Name, Boot: s.Boot})
		return nil
	})
	return err
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
	d.rooms.Labels.Release(done.Gone)
	d.rooms.Labels.Renew(done.Renewed)
}

// followState has lists made by the settings by which they are judged: before anybody
// sees these.
func (d *Daemon) followState(s *ledger.Ledger) {
	m := *d.Builder.Load()
	if m.Mode == s.Mode && m.Unsigned == s.Unsigned && m.Order == s.Order {
		return
	}
	m.Mode, m.Unsigned, m.Order = s.Mode, s.Unsigned, s.Order
	d.Builder.Store(&m)
}

// Close releases what New took.
func (d *Daemon) Close() error {
	var err error
	if m := d.Builder.Load(); m != nil {
		err = m.Identity.Key.Close()
	}
	if d.Dir != nil {
		err = errors.Join(err, d.Dir.Close())
	}
	d.Query.Close()
	if d.Root != nil {
		err = errors.Join(err, d.Root.Close())
	}
	if d.Index != nil {
		err = errors.Join(err, d.Index.Close())
	}
	return err
}

// Observe makes o hear of what is decided from now on.
func (d *Daemon) Observe(ctx context.Context, o state.Observer) error {
	return d.Exec.Enter(ctx, "observe", func(s *ledger.Ledger) error {
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
		<-d.Exec.Closed
	}()
	go d.Exec.Run(ownerCtx)
	d.Memory.BeLean(memory.FirstPercent)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	d.rooms.Anchor.Begin(ctx)
	watch := d.rooms.Reconciler.Watch(ctx)
	var group sync.WaitGroup
	start := func(name string, fn func(context.Context) error) {
		group.Go(func() {
			if err := fn(ctx); err != nil {
				cancel(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	d.rooms.Sessions.Leave = around.Leave
	d.rooms.Sessions.TakeOver(ctx, around.Left)
	start("hooks", func(ctx context.Context) error { return d.rooms.Sessions.Serve(ctx, around.Hook) })
	waited := make(chan struct{})
	enough := sync.OnceFunc(func() { close(waited) })
	group.Go(func() {
		defer enough()
		d.firstSync(ctx, enough)
	})
	d.rooms.Reconciler.AwaitSync(ctx, waited)
	if err := around.Bus(ctx); err != nil {
		// Package transactions matter more than questions about them.
		d.Logger.Error("not on the bus", "error", err)
	}
	carried := carrier.Start(ctx, d.Host)
	start("watch", watch.Run)
	start("sync", d.rooms.Reconciler.SyncLoop)
	start("chores", d.rooms.Reconciler.ChoreLoop)
	start("guard", d.rooms.Guard.Follow)
	start("exemptions", d.rooms.Guard.KeepExemptions)
	start("snapshots", d.rooms.Guard.KeepSnapshot)
	start("labels", d.rooms.Labels.Run)
	start("signing key", d.rooms.Enroller.Run)
	start("clock", d.rooms.Reconciler.ClockLoop)
	start("denials", d.rooms.Denier.Run)
	start("kernel", d.rooms.Reconciler.KernelLoop)
	start("reload", func(ctx context.Context) error { return d.reloadLoop(ctx, around) })
	start("neighbours", d.rooms.Exporter.Run)
	start("contents", d.rooms.Guard.Run)
	start("anchor", d.rooms.Anchor.Loop)
	start("advisories", d.Adviser.Run)
	start("watchdog", d.watchdog)
	d.notify("READY=1", d.statusLine())
	<-ctx.Done()
	d.notify("STOPPING=1", "STATUS=Finishing transactions")
	group.Wait()
	d.rooms.Sessions.Open.Wait()
	d.rooms.Labels.RenewUnheld()
	d.rooms.Anchor.Last()
	carried()
	d.rooms.Guard.LastSnapshot()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// firstSync brings the lists up to date before anybody is told that they are. A
// failure is reported, not fatal: a daemon that runs can be asked what is wrong.
// It calls overtaken if it must wait for a transaction.
func (d *Daemon) firstSync(ctx context.Context, overtaken func()) {
	d.rooms.Enroller.TellOfSigner(ctx)
	d.notify("STATUS=Comparing lists with rpm's database")
	if _, err := d.rooms.Reconciler.Run(ctx, "start", func(stage string, _, _ int) {
		if stage == reconcile.StageWaiting {
			overtaken()
		}
	}); err != nil && ctx.Err() == nil {
		d.Logger.Error("first sync failed", "error", err)
	}
	d.notify(d.statusLine())
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

// PackagesAnnounced is called when rpm announced on the bus that a transaction
// ended.
func (d *Daemon) PackagesAnnounced() {
	d.Logger.Debug("hint", "from", "rpm, on the bus")
	d.rooms.Reconciler.LookAgain()
}
