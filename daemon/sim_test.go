// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"crypto/sha256"
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

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/host"
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
	keys     map[string]*pkgtest.Key
	made     map[string]gendb.Made
	nevras   map[string]nevra.NEVRA
	shown    map[string]string // files of lists, as the model calls them
	contents map[[sha256.Size]byte]int

	// What only machines in memory use.
	certs      map[string]*pgp.Cert
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
		contents: map[[sha256.Size]byte]int{}, certs: map[string]*pgp.Cert{},
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
		k, err := pkgtest.NewKey("sim "+name, 1024*2)
		if err != nil {
			return w, err
		}
		w.keys[name] = k
		blob, err := gendb.PublicKey(k)
		if err != nil {
			return w, err
		}
		if w.certs[name], err = certificate(blob); err != nil {
			return w, err
		}
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

// simMachine is a whole digestd with its disk, driven from inside.
type simMachine struct {
	*simWorld
	dir    string // of its own; in memory only the bodies of own lists are there
	config config.Config
	d      *Daemon
	lists  *faultyDir
	order  *simOrder
	stop   func()
	faults *faults
	db     simDatabaseFile
	simSession
	other simSession // see Switch

	heard  *simObserver
	loss   uint64
	day    int // by the clock
	banned map[string]bool
	staged stageHook

	// Where it is all in memory.
	memoryDir   memoryDisk
	memoryIndex memoryIndex
	identities  *memoryIdentities
}

// simSession is a connection of a package manager.
type simSession struct {
	session *session.Session
	reply   *wire.Conn
	put     string // the package that came last, which may replace itself
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
	write(in sim.Installed, w *simWorld, keys []string) error
	has() (sim.Installed, []string)
	close()
}

// simInstalled is what a database has.
type simInstalled struct {
	installed sim.Installed
	keys      []string
}

func (s *simInstalled) has() (sim.Installed, []string) { return s.installed, s.keys }

// simDisk is a list directory that other programs reach, too.
type simDisk interface {
	executor.ListDirectory
	All() map[string][]byte
	Put(name string, data []byte)
	Unlink(name string)
}

// simIndex is an index that says what is durable.
type simIndex interface {
	host.Index
	marked() bool
	leftovers() map[string]record.Leftover
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

var simActor = api.Actor{UID: 0, PID: 1}

// fastPlace is where to sync takes no time, if there is such a place.
func fastPlace() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return ""
}

// newSimMachine starts a machine for an empty root, in memory or on disk.
func newSimMachine(sign string, onDisk bool) (_ *simMachine, err error) {
	w, err := theSimWorld()
	if err != nil {
		return nil, err
	}
	m := &simMachine{simWorld: w, faults: &faults{}, heard: &simObserver{}, banned: map[string]bool{}}
	dir := w.place
	if onDisk {
		dir = fastPlace()
	}
	if m.dir, err = os.MkdirTemp(dir, "digestd-sim-"); err != nil {
		return nil, err
	}
	if onDisk {
		dir = m.dir
	}
	c := config.Default()
	c.Root, c.DBPath = filepath.Join(dir, "root"), simDatabase
	c.State, c.Lists = filepath.Join(m.dir, "state"), filepath.Join(dir, "lists")
	c.Keys, c.Revoked, c.Blacklist = filepath.Join(dir, "keys"), filepath.Join(dir, "revoked"), filepath.Join(dir, "blacklist")
	c.Labels, c.AuditTrail, c.Sign = false, "none", sign
	m.config = c
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	if onDisk {
		if m.db, err = newRPMDatabase(filepath.Join(c.Root, c.DBPath)); err != nil {
			return m, err
		}
	} else {
		if err := os.Mkdir(c.State, 0o700); err != nil {
			return m, err
		}
		m.db = &memoryDatabases{dir: filepath.Join(c.Root, c.DBPath)}
		m.memoryDir, m.memoryIndex = memoryDisk{inmemory.NewDir(c.Lists)}, memoryIndex{&inmemory.Index{}}
		m.identities = &memoryIdentities{known: w.identities, dir: c.State}
	}
	if err := errors.Join(m.db.write(nil, w, []string{"A", "B"}), m.Start()); err != nil {
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
	d.rooms.Keys.Blacklist = func() (state.Blacklisted, error) {
		return state.Blacklisted{Known: true, Entries: maps.Clone(m.banned), KeyIDs: map[string]bool{}}, nil
	}
	d.Memory.Rest = func() {} // it is the memory of all machines
	d.Memory.Armed.Store(true)
	ctx, cancel := context.WithCancel(context.Background())
	d.Exec.Hooks.Passed = simInstants.pass
	go d.Exec.Run(ctx)
	m.d, m.stop = d, func() { cancel(); <-d.Exec.Closed }
	before, cut := m.lists, m.faults.power
	m.faults = &faults{}
	m.lists = newFaultyDir(disk, m.faults)
	if before != nil && !cut {
		// What the process before left unsynced still is.
		m.lists.durable, m.lists.synced, m.lists.others = before.durable, before.synced, before.others
	}
	m.order = newSimOrder(index, m.lists)
	m.lists.order, m.heard.order = m.order, m.order
	d.Exec.Dir, d.Exec.Index = m.lists, &faultyIndex{index, m.faults, m.order}
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
	d.Database, d.Keyrings, d.Features = m.db.(*memoryDatabases).open, noKeyrings{}, func() kernel.Features { return kernel.Features{} }
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
	m.stop()
	m.d.Close()
	m.d = nil
	m.hangUp()
	m.other.hangUp()
}

func (m *simMachine) Stop() error {
	m.end()
	return nil
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
		m.loss = m.loss*2862933555777941757 + 3037000493
		m.lists.cut(m.loss)
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
	if err := m.db.write(in, m.simWorld, keys); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(m.ctx(), 10*time.Second)
	defer cancel()
	_, err := m.d.rooms.Reconciler.Run(ctx, "simulation", func(string, int, int) {})
	return m.after(err)
}

// Directory reads the lists as a kernel would.
func (m *simMachine) Directory() map[string][]int {
	lists := map[string][]int{}
	for file, data := range m.lists.All() {
		file = digestlist.WithoutSequence(file)
		name, known := m.shown[file]
		if !known {
			name, _ = strings.CutPrefix(file, "tlv-")
			if own, is := strings.CutPrefix(name, "own-"); is {
				name = sim.OwnList(own)
			} else if n, err := nevra.Parse(name); err == nil {
				name = fmt.Sprintf("%s-%s.%s", n.Name, n.Version, n.Arch)
			}
		}
		lists[name] = m.read(file, data)
	}
	return lists
}

func (m *simMachine) read(name string, data []byte) (contents []int) {
	err := host.WalkList(name, data, func(_ digestlist.Algo, digest, _ []byte) error {
		c, known := m.contents[[sha256.Size]byte(digest)]
		if !known {
			return errors.New("unknown content")
		}
		contents = append(contents, c)
		return nil
	})
	if err != nil {
		return nil
	}
	return sim.Sorted(contents)
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
