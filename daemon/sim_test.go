// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/digestd/digestd/daemon/advisory/needed"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/executor"
	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/guardtest"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/identity"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/session"
	"github.com/digestd/digestd/daemon/sim"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/integration/bench/gendb"
	"github.com/digestd/digestd/integration/pkgtest"
	"github.com/digestd/digestd/kernel"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store"
	"github.com/digestd/digestd/store/inmemory"
	"github.com/digestd/digestd/store/record"
)

// simWorld is what all machines of a run share: keys and packages.
type simWorld struct {
	keys     map[string]*pkgtest.Key // by the name that the model calls them
	made     map[string]gendb.Made
	nevras   map[string]nevra.NEVRA
	shown    map[string]string // files of lists, as the model calls them
	contents map[[sha256.Size]byte]int
	lists    sync.Map // what list returns, by digest of the data
	signed   sync.Map // what signedBy returns, by digest of the data and certificate

	// The parts that only machines in memory use.
	certs      sync.Map // what remembered returns, by certificate
	bodies     sync.Map // what body returns, by package
	identities *knownIdentities
	place      string // of what they all have, and do not change
}

// simWorldMade says that theSimWorld has files, which must go in the end.
var simWorldMade atomic.Bool

// evrOf writes a version down. Those of tool have an epoch from the third on, and what
// follows it begins again.
func evrOf(name string, version int) nevra.EVR {
	e := nevra.EVR{Version: strconv.Itoa(version), Release: "1"}
	if name == "tool" && version >= 3 {
		e.Epoch, e.Version = 1, strconv.Itoa(version-2)
	}
	return e
}

var theSimWorld = sync.OnceValues(func() (*simWorld, error) {
	w := &simWorld{
		keys: map[string]*pkgtest.Key{}, made: map[string]gendb.Made{}, nevras: map[string]nevra.NEVRA{}, shown: map[string]string{},
		contents: map[[sha256.Size]byte]int{},
	}
	var err error
	if w.place, err = os.MkdirTemp(fastPlace(), "digestd-sim-"); err != nil {
		return w, err
	}
	simWorldMade.Store(true)
	w.identities = &knownIdentities{dir: w.place}
	if err := os.MkdirAll(filepath.Join(w.place, "root", simDatabase), 0o755); err != nil {
		return w, err
	}
	for _, name := range []string{"A", "B", "C"} {
		k, err := formOf(sim.Certificate{Key: name})
		if err != nil {
			return w, err
		}
		w.keys[name], w.keys[name+sim.Subkey] = k, k.Subkey()
	}
	for _, p := range sim.Packages() {
		n := nevra.NEVRA{Name: p.Name, EVR: evrOf(p.Name, p.Version), Arch: p.Arch}
		files := map[string]string{}
		for _, c := range p.Contents {
			text := "content " + strconv.Itoa(c)
			files[fmt.Sprintf("/opt/%s/%d", p.Name, c)] = text
			w.contents[sha256.Sum256([]byte(text))] = c
		}
		m, err := gendb.Make(gendb.Small{NEVRA: n, Build: strconv.Itoa(p.Build), Multi: p.Multi, Files: files, Key: w.keys[p.Key]})
		if err != nil {
			return w, err
		}
		file, err := digestlist.PackageName(digestlist.FormatTLV, n)
		if err != nil {
			return w, err
		}
		w.made[p.String()], w.nevras[p.String()], w.shown[file] = m, n, p.List()
	}
	for _, c := range sim.OwnContents(0) {
		w.contents[sha256.Sum256([]byte("content "+strconv.Itoa(c)))] = c
	}
	return w, nil
})

// formOf returns the key that a certificate is of. Each has a subkey.
func formOf(c sim.Certificate) (*pkgtest.Key, error) {
	f := pkgtest.Form{Subkey: true, Revoked: c.Retracted}
	if c.Expires > 0 {
		f.Lifetime = simStart.AddDate(0, 0, c.Expires).Sub(pkgtest.Epoch)
	}
	return pkgtest.NewKeyIn(f, "sim "+c.Key, 2048)
}

// headerOf returns the certificate as it lies in rpm's database.
func headerOf(c sim.Certificate) ([]byte, error) {
	k, err := formOf(c)
	if err != nil {
		return nil, err
	}
	return gendb.PublicKey(k)
}

// remembered returns what rpm's database says of a certificate.
func (w *simWorld) remembered(c sim.Certificate) (*pgp.Cert, error) {
	made, _ := w.certs.LoadOrStore(c, sync.OnceValues(func() (*pgp.Cert, error) {
		blob, err := headerOf(c)
		if err != nil {
			return nil, err
		}
		return certificate(blob)
	}))
	return made.(func() (*pgp.Cert, error))()
}

// simMachine is a whole digestd with its disk, driven from inside.
type simMachine struct {
	*simWorld
	dir    string // of its own; in memory it is there only for bodies of own lists
	config config.Config
	d      *Daemon
	lists  *faultyDir
	order  *simOrder
	log    checkedLog
	stop   func()
	faults *faults
	kept   *faultyBodies // of own lists
	db     simDatabaseFile
	simSession
	other simSession // see Switch
	waits *simWait   // nil: none

	policy  string // the policy file, "" for none
	heard   *simObserver
	loss    uint64
	day     int // by the clock
	ticks   atomic.Int64
	boot    int // how often the machine started anew
	systems simSystems
	banned  map[string]bool
	staged  stageHook

	// The parts in memory.
	memoryDir   memoryDisk
	memoryIndex memoryIndex
	identities  *memoryIdentities

	guard *simGuard // nil: it has none
	image *simImage // likewise
}

// simSession is a connection of a package manager.
type simSession struct {
	session *session.Session
	reply   *wire.Conn
	put     string // the package that came last, which may replace itself
	named   string // the list of the one that is being unpacked, "" for none
}

// stageHook is called once when a list is staged.
type stageHook struct {
	mu sync.Mutex
	fn func()
}

func (h *stageHook) set(fn func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fn = fn
}

func (h *stageHook) take() {
	h.mu.Lock()
	fn := h.fn
	h.fn = nil
	h.mu.Unlock()
	if fn != nil {
		fn()
	}
}

// hookedDirectory is a list directory that tells of lists which are staged for packages.
type hookedDirectory struct {
	executor.ListDirectory
	hook *stageHook
}

func (d hookedDirectory) Stager(prefix string) executor.Stager {
	s := d.ListDirectory.Stager(prefix)
	if strings.HasPrefix(prefix, "hook") || strings.HasPrefix(prefix, "sync") {
		return hookedStager{s, d.hook}
	}
	return s
}

type hookedStager struct {
	executor.Stager
	hook *stageHook
}

func (s hookedStager) Write(parts ...[]byte) (record.Staged, error) {
	staged, err := s.Stager.Write(parts...)
	s.hook.take()
	return staged, err
}

// simDatabase is where rpm's database is, below the root.
const simDatabase = "/var/lib/rpm"

// simDatabaseFile is rpm's database, as rpm writes it.
type simDatabaseFile interface {
	write(in sim.Installed, w *simWorld, keys []sim.Certificate) error
	has() (sim.Installed, []sim.Certificate)
	close()
}

// simInstalled is what a database has.
type simInstalled struct {
	installed sim.Installed
	keys      []sim.Certificate
}

func (s *simInstalled) has() (sim.Installed, []sim.Certificate) { return s.installed, s.keys }

// simDisk is a list directory that other programs reach, too.
type simDisk interface {
	executor.ListDirectory
	All() map[string][]byte
	Quarantined() ([]string, error)
	Put(name string, data []byte)
	Unlink(name string)
}

// simIndex is an index that says what is durable.
type simIndex interface {
	host.Index
	marked() bool
	leftovers() map[string]record.Leftover
	asides() []record.Aside
	ownLists() []record.Own
	Lists() ([]record.List, error)
	List(name string) (record.List, bool)
	LastEvent() uint64
	KindsAfter(seq uint64, fn func(seq uint64, kind string))
}

// simObserver counts what is laid to other programs, and sees that nothing is told
// too early.
type simObserver struct {
	state.Observer
	tampered int
	order    *simOrder
}

func (o *simObserver) ListPublished(list, _ string)     { o.order.told("ListPublished", list) }
func (o *simObserver) ListWithdrawn(list, _, _ string)  { o.order.told("ListWithdrawn", list) }
func (o *simObserver) RollbackRefused(string, string)   { o.order.told("RollbackRefused", "") }
func (o *simObserver) TransactionFinished(_, _ uint32)  {}
func (o *simObserver) KeyRevoked(_, _ string, _ uint32) { o.order.told("KeyRevoked", "") }
func (o *simObserver) Changed()                         {}
func (o *simObserver) Denied(_, _, _ string)            { o.order.told("Denied", "") }
func (o *simObserver) DenialLifted(_, _, _ string)      { o.order.told("DenialLifted", "") }
func (o *simObserver) TamperDetected(string, string) {
	o.tampered++
	o.order.told("TamperDetected", "")
}

// simWatchdog ends what does not end by itself. No history goes by the time that anything
// takes: on a busy machine all of it may take long.
const simWatchdog = 10 * time.Minute

// simMachines counts machines in memory.
var simMachines atomic.Uint64

var simActor = api.Actor{UID: 0, PID: 1}

// fastPlace is where to sync takes no time, if there is such a place.
func fastPlace() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return ""
}

// newSimMachine starts a machine for an empty root, in memory or on disk.
func newSimMachine(sign string, onDisk bool, h sim.History) (_ *simMachine, err error) {
	w, err := theSimWorld()
	if err != nil {
		return nil, err
	}
	m := &simMachine{simWorld: w, faults: &faults{}, heard: &simObserver{}, banned: map[string]bool{}}
	dir := w.place
	if m.dir = filepath.Join(dir, strconv.FormatUint(simMachines.Add(1), 36)); onDisk {
		if m.dir, err = os.MkdirTemp(fastPlace(), "digestd-sim-"); err != nil {
			return nil, err
		}
		dir = m.dir
	}
	c := config.Default()
	c.Root, c.DBPath = filepath.Join(dir, "root"), simDatabase
	c.State, c.Lists = filepath.Join(m.dir, "state"), filepath.Join(dir, "lists")
	c.Keys, c.Revoked, c.Blacklist = filepath.Join(dir, "keys"), filepath.Join(dir, "revoked"), filepath.Join(dir, "blacklist")
	c.Policy = filepath.Join(dir, "policy")
	c.Labels, c.AuditTrail, c.Sign = false, "none", sign
	c.Advisories, c.AdvisoriesGrace, c.AdvisoriesProtect = config.AdvisoriesWithdraw, fmt.Sprintf("%dd", sim.AdviceGrace), []string{sim.AdviceProtects}
	if h.Imaged {
		c.Keys, c.ImageLists = filepath.Join(m.dir, "keys"), filepath.Join(m.dir, "image")
		if m.image, err = newSimImage(c.ImageLists, c.Keys); err != nil {
			return nil, err
		}
	}
	if h.Guarded {
		c.Guard, m.guard = "enforce", &simGuard{kernel: guardtest.NewMemory()}
	}
	m.config = c
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	if onDisk {
		c.Labels = labelsKept(m.dir)
		m.config = c
		if m.db, err = newRPMDatabase(filepath.Join(c.Root, c.DBPath)); err != nil {
			return m, err
		}
	} else {
		m.db = &memoryDatabases{dir: filepath.Join(c.Root, c.DBPath)}
		m.memoryDir, m.memoryIndex = memoryDisk{inmemory.NewDir(c.Lists)}, memoryIndex{&inmemory.Index{}}
		m.identities = &memoryIdentities{known: w.identities, dir: c.State}
	}
	if err := errors.Join(m.db.write(nil, w, []sim.Certificate{{Key: "A"}, {Key: "B"}}), m.Start()); err != nil {
		return m, err
	}
	return m, m.Compare(nil)
}

func (m *simMachine) close() {
	m.end()
	if m.db != nil {
		m.db.close()
	}
	os.RemoveAll(m.dir)
}

func (m *simMachine) Start() error {
	d, disk, index, err := m.newDaemon()
	if err != nil {
		return err
	}
	d.Dir = hookedDirectory{d.Dir, &m.staged}
	d.rooms.Policies.Find = m.policies
	d.Needs = func(string) *needed.Files { return &needed.Files{} }
	d.rooms.Keys.Blacklist = func() (state.Blacklisted, error) {
		return state.Blacklisted{Known: true, Entries: maps.Clone(m.banned), KeyIDs: map[string]bool{}}, nil
	}
	d.Memory.Rest = func() {} // it is the memory of all machines
	d.Memory.Armed.Store(true)
	d.Exec.State.Boot = strconv.Itoa(m.boot)
	d.Machine.Booted = m.systems.booted
	if err := d.Booted(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.Exec.Hooks.Passed = simInstants.pass
	go d.Exec.Run(ctx)
	m.d, m.stop = d, func() { cancel(); <-d.Exec.Closed }
	before, cut := m.lists, m.faults.power
	m.faults = &faults{}
	m.lists = newFaultyDir(disk, m.faults)
	if before != nil && !cut {
		// Files that the former process left unsynced still are.
		m.lists.durable, m.lists.synced, m.lists.given, m.lists.others = before.durable, before.synced, before.given, before.others
	}
	m.order = newSimOrder(m.simWorld, index, m.lists)
	m.lists.order, m.heard.order = m.order, m.order
	d.Exec.Dir, d.Exec.Index = m.lists, &faultyIndex{index, m.faults, m.order}
	m.kept = &faultyBodies{d.Exec.Hooks.Bodies, m.faults, map[string][]byte{}}
	d.Exec.Hooks.Bodies = m.kept
	if files, onDisk := d.rooms.Enroller.Identities.(identity.Files); onDisk {
		files.Rename = func(from, to string) error {
			if err := m.faults.hit("rotation"); err != nil {
				return err
			}
			return os.Rename(from, to)
		}
		d.rooms.Enroller.Identities = files
	} else {
		m.identities.faults = m.faults
	}
	if f := m.faults; m.config.Labels {
		d.rooms.Labels.Reached = func() error { return f.hit("label") }
	}
	if m.guard != nil {
		f := m.faults
		d.rooms.Guard.Patience = simWatchdog
		d.rooms.Guard.Dial = func(context.Context) (*protocol.Client, error) { return m.guard.dial(f) }
		d.rooms.Guard.Agree(ctx) // as soon as it is there; see its Follow
	}
	return d.Observe(ctx, m.heard)
}

// newDaemon starts a process on what there is.
func (m *simMachine) newDaemon() (*Daemon, simDisk, simIndex, error) {
	log, notify := slog.New(slog.DiscardHandler), func(...string) {}
	if m.identities == nil {
		d, err := New(m.config, log, notify)
		if err != nil {
			return nil, nil, nil, err
		}
		d.Now, d.Exec.Now = m.now, m.now
		return d, realDisk{d.Dir.(host.Directory)}, realIndex{d.Index.(*store.Index)}, nil
	}
	d := newDaemon(m.config, log, notify)
	d.Now = m.now
	d.Dir, d.Index, d.rooms.Enroller.Identities = m.memoryDir, m.memoryIndex, m.identities
	d.Database, d.Keyrings, d.DigestCache = m.db.(*memoryDatabases).open, noKeyrings{}, func() kernel.Answer { return kernel.No }
	d.UnitOf = nil
	m.memoryDir.Reopen()
	var err error
	if d.Root, err = kernel.OpenRoot(m.config.Root); err != nil {
		return nil, nil, nil, err
	}
	recovery := store.Recovery{Fate: store.Fresh}
	if m.memoryIndex.Commits() > 0 {
		recovery.Fate = store.Intact
	}
	return d, m.memoryDir, m.memoryIndex, d.begin(recovery)
}

// end ends the process, however it is.
func (m *simMachine) end() {
	if m.d == nil {
		return
	}
	if m.waits != nil {
		m.waits.cancel()
		m.waited()
	}
	m.stop()
	if m.guard != nil {
		m.d.rooms.Guard.Close()
	}
	m.d.Close()
	m.d = nil
	m.hangUp()
	m.other.hangUp()
}

func (m *simMachine) Stop() error {
	m.end()
	return nil
}

func (m *simMachine) Reboot() {
	m.boot++
	if m.guard != nil {
		m.guard.restart(sim.GuardOld)
	}
}

func (m *simMachine) Crash(power bool, loss uint64) {
	m.faults.mu.Lock()
	m.faults.dead, m.faults.power = true, m.faults.power || power
	m.faults.mu.Unlock()
	m.loss = loss
	m.bury()
}

// bury ends what was killed: only its disk counts.
func (m *simMachine) bury() {
	if m.faults.power {
		m.boot++
		m.loss = m.loss*2862933555777941757 + 3037000493
		m.lists.cut(m.loss)
		m.kept.cut(m.loss)
		if m.guard != nil {
			m.guard.restart([]string{sim.GuardOld, sim.GuardEmpty}[m.loss>>33&1])
		}
	}
	m.end()
}

// after is the outcome of a call: whether the process lived to answer.
func (m *simMachine) after(err error) error {
	if m.faults.crashed() {
		m.bury()
		return sim.ErrCrashed
	}
	return err
}

func (m *simMachine) Arm(f sim.Fault, loss uint64)  { m.faults.arm(f); m.loss = loss }
func (m *simMachine) Fired() (string, int)          { return m.faults.fired() }
func (m *simMachine) Tampered() int                 { return m.heard.tampered }
func (m *simMachine) Counter() (uint64, uint64)     { return m.d.Snapshot().Counter, m.d.Index.Counter() }
func (m *simMachine) ctx() context.Context          { return context.Background() }
func (m *simMachine) fingerprint(key string) string { return m.keys[key].Fingerprint() }

func (m *simMachine) Compare(in sim.Installed) error {
	_, keys := m.db.has()
	if err := errors.Join(m.db.write(in, m.simWorld, keys), m.unpack()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(m.ctx(), simWatchdog)
	defer cancel()
	_, err := m.d.rooms.Reconciler.Run(ctx, "simulation", func(string, int, int) {})
	return m.after(err)
}

// Directory reads the lists as a kernel would.
func (m *simMachine) Directory() map[string][]int {
	lists := map[string][]int{}
	for numbered, data := range m.lists.All() {
		file := digestlist.WithoutSequence(numbered)
		name, known := m.shown[file]
		if !known {
			name, _ = strings.CutPrefix(file, "tlv-")
			if own, is := strings.CutPrefix(name, "own-"); is {
				name = sim.OwnList(own)
			} else if n, err := nevra.Parse(name); err == nil {
				name = fmt.Sprintf("%s-%s.%s", n.Name, n.Version, n.Arch)
			}
		}
		if _, two := lists[name]; two && numbered == file {
			continue // a number came since, and the list without it was kept
		}
		lists[name] = m.list(file, data).contents
	}
	return lists
}

// simList is what a file in the list directory has.
type simList struct {
	whole    bool  // it can be read as a list
	contents []int // nil if it has one that nobody knows; never changed
}

func (w *simWorld) list(name string, data []byte) simList {
	key := sha256.Sum256(data)
	if known, is := w.lists.Load(key); is {
		return known.(simList)
	}
	var l simList
	strange := false
	l.whole = host.WalkList(name, data, func(_ digestlist.Algo, digest, _ []byte) error {
		c, known := w.contents[[sha256.Size]byte(digest)]
		strange = strange || !known
		l.contents = append(l.contents, c)
		return nil
	}) == nil
	if sim.Sorted(l.contents); strange || !l.whole {
		l.contents = nil
	}
	w.lists.Store(key, l)
	return l
}

// signedBy reports whether a list bears a signature by that certificate.
func (w *simWorld) signedBy(data []byte, cert *x509.Certificate) bool {
	key := struct {
		data [sha256.Size]byte
		cert *x509.Certificate
	}{sha256.Sum256(data), cert}
	if known, is := w.signed.Load(key); is {
		return known.(bool)
	}
	body, sig, _, err := digestlist.SplitSignature(data)
	if err == nil {
		_, err = digestlist.VerifyPKCS7(body, sig, []*x509.Certificate{cert})
	}
	w.signed.Store(key, err == nil)
	return err == nil
}

func (m *simMachine) file(p sim.Package) string {
	name, _ := digestlist.PackageName(digestlist.FormatTLV, m.nevras[p.String()])
	for file := range m.lists.All() {
		if digestlist.WithoutSequence(file) == name {
			return file // which may have a number
		}
	}
	return name
}

// seen is what watching the directory leads to.
func (m *simMachine) seen() error {
	m.d.rooms.Reconciler.CheckDirectory(m.ctx(), nil)
	return m.after(nil)
}

func (m *simMachine) Delete(p sim.Package) error {
	m.lists.foreign(m.file(p))
	m.lists.Unlink(m.file(p))
	return m.seen()
}

func (m *simMachine) Alter(p sim.Package) error {
	m.lists.foreign(m.file(p))
	if data, there := m.lists.All()[m.file(p)]; there {
		m.lists.Put(m.file(p), slices.Concat(data, []byte("altered")))
	}
	return m.seen()
}

func (m *simMachine) Plant(p sim.Package) error {
	m.lists.foreign(m.file(p))
	m.lists.Put(m.file(p), []byte("planted"))
	return m.seen()
}
