// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"log/slog"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/sim"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/integration/bench/gendb"
	"github.com/digestd/digestd/integration/pkgtest"
)

// simWorld is what all machines of a run share: keys and packages.
type simWorld struct {
	keys     map[string]*pkgtest.Key
	made     map[string]gendb.Made
	nevras   map[string]nevra.NEVRA
	contents map[[sha256.Size]byte]int
}

var theSimWorld = sync.OnceValues(func() (*simWorld, error) {
	w := &simWorld{
		keys: map[string]*pkgtest.Key{}, made: map[string]gendb.Made{}, nevras: map[string]nevra.NEVRA{},
		contents: map[[sha256.Size]byte]int{},
	}
	for _, name := range []string{"A", "B", "C"} {
		k, err := pkgtest.NewKey("sim "+name, 1024*2)
		if err != nil {
			return nil, err
		}
		w.keys[name] = k
	}
	for _, p := range sim.Packages() {
		n := nevra.NEVRA{Name: p.Name, EVR: nevra.EVR{Version: strconv.Itoa(p.Version), Release: "1"}, Arch: p.Arch}
		files := map[string]string{}
		for _, c := range p.Contents {
			text := "content " + strconv.Itoa(c)
			files[fmt.Sprintf("/opt/%s/%d", p.Name, c)] = text
			w.contents[sha256.Sum256([]byte(text))] = c
		}
		m, err := gendb.Make(gendb.Small{NEVRA: n, Build: strconv.Itoa(p.Build), Multi: p.Multi, Files: files, Key: w.keys[p.Key]})
		if err != nil {
			return nil, err
		}
		w.made[p.String()], w.nevras[p.String()] = m, n
	}
	return w, nil
})

// simMachine is a whole digestd with its disk, driven from inside.
type simMachine struct {
	*simWorld
	dir     string
	config  config.Config
	d       *Daemon
	lists   *faultyDir
	order   *simOrder
	stop    func()
	faults  *faults
	db      *rpmDatabase
	session *session
	put     string // the package that came last, which may replace itself
	reply   *wire.Conn

	heard *simObserver
	loss  uint64
}

// simObserver counts what is laid to other programs, and sees that nothing is told
// too early.
type simObserver struct {
	observer
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

func newSimMachine(sign string) (_ *simMachine, err error) {
	w, err := theSimWorld()
	if err != nil {
		return nil, err
	}
	place := ""
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		place = "/dev/shm" // to sync there takes no time
	}
	dir, err := os.MkdirTemp(place, "digestd-sim-")
	if err != nil {
		return nil, err
	}
	m := &simMachine{simWorld: w, dir: dir, faults: &faults{}, heard: &simObserver{}}
	c := config.Default()
	c.Root, c.DBPath = filepath.Join(dir, "root"), "/var/lib/rpm"
	c.State, c.Lists = filepath.Join(dir, "state"), filepath.Join(dir, "lists")
	c.Keys, c.Revoked, c.Blacklist = filepath.Join(dir, "keys"), filepath.Join(dir, "revoked"), filepath.Join(dir, "blacklist")
	c.Labels, c.AuditTrail, c.Sign = false, "none", sign
	m.config = c
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	if m.db, err = newRPMDatabase(filepath.Join(c.Root, c.DBPath)); err != nil {
		return m, err
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
	d, err := New(m.config, slog.New(slog.DiscardHandler), func(...string) {})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go d.owner.run(ctx)
	m.d, m.stop = d, func() { cancel(); <-d.owner.done }
	before, cut := m.lists, m.faults.power
	m.faults = &faults{}
	m.lists = newFaultyDir(d.dir, m.faults)
	if before != nil && !cut {
		// What the process before left unsynced still is.
		m.lists.durable, m.lists.synced, m.lists.others = before.durable, before.synced, before.others
	}
	m.order = newSimOrder(d.index, m.lists)
	m.lists.order, m.heard.order = m.order, m.order
	d.owner.state.dir, d.owner.state.index = m.lists, &faultyIndex{d.index, m.faults, m.order}
	return d.Observe(ctx, m.heard)
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
func (m *simMachine) Counter() uint64               { return m.d.snapshot().counter }
func (m *simMachine) ctx() context.Context          { return context.Background() }
func (m *simMachine) fingerprint(key string) string { return m.keys[key].Fingerprint() }

func (m *simMachine) Compare(in sim.Installed) error {
	if err := m.db.write(in, m.simWorld, m.db.keys); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(m.ctx(), 10*time.Second)
	defer cancel()
	_, err := m.d.runSync(ctx, "simulation", func(string, int, int) {})
	return m.after(err)
}

// Directory reads the lists as a kernel would.
func (m *simMachine) Directory() map[string][]int {
	lists := map[string][]int{}
	names, err := os.ReadDir(m.config.Lists)
	if err != nil {
		return nil
	}
	for _, e := range names {
		name, _ := strings.CutPrefix(e.Name(), "tlv-")
		n, err := nevra.Parse(name)
		if err == nil {
			name = fmt.Sprintf("%s-%s.%s", n.Name, n.Version, n.Arch)
		}
		lists[name] = m.read(filepath.Join(m.config.Lists, e.Name()))
	}
	return lists
}

func (m *simMachine) read(path string) (contents []int) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	err = walkList(filepath.Base(path), data, func(_ digestlist.Algo, digest, _ []byte) error {
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
	return filepath.Join(m.config.Lists, name)
}

// seen is what watching the directory leads to.
func (m *simMachine) seen() { m.d.checkDirectory(m.ctx(), nil) }

func (m *simMachine) Delete(p sim.Package) {
	m.lists.foreign(m.file(p))
	os.Remove(m.file(p))
	m.seen()
}

func (m *simMachine) Alter(p sim.Package) {
	m.lists.foreign(m.file(p))
	if f, err := os.OpenFile(m.file(p), os.O_WRONLY|os.O_APPEND, 0); err == nil {
		f.WriteString("altered")
		f.Close()
	}
	m.seen()
}

func (m *simMachine) Plant(p sim.Package) {
	m.lists.foreign(m.file(p))
	os.WriteFile(m.file(p), []byte("planted"), 0o644)
	m.seen()
}

// ---- transactions ----

func (m *simMachine) hangUp() {
	if m.session != nil {
		m.session.conn.Close()
		m.reply.Close()
		m.session = nil
	}
}

func (m *simMachine) receive() (wire.Message, error) {
	return m.reply.Read(m.ctx(), 5*time.Second, 5*time.Second)
}

func (m *simMachine) Begin(added, removed []sim.Package) (sim.Verdict, error) {
	m.hangUp()
	m.put = ""
	ours, theirs, err := socketPair()
	if err != nil {
		return 0, err
	}
	m.reply = wire.NewConn(theirs)
	if m.session = m.d.newSession(ours); m.session == nil {
		return 0, errors.New("no session")
	}
	dev, ino, err := m.d.root.ID()
	if err != nil {
		return 0, err
	}
	begin := &wire.Begin{Root: m.config.Root, RootDev: dev, RootIno: ino}
	for _, p := range added {
		begin.Elements = append(begin.Elements, wire.Element{Type: wire.Added, NEVRA: m.nevras[p.String()]})
	}
	for _, p := range removed {
		begin.Elements = append(begin.Elements, wire.Element{Type: wire.RemovedElement, NEVRA: m.nevras[p.String()]})
	}
	proceed, err := m.session.begin(m.ctx(), begin)
	if err := m.after(err); err != nil {
		return 0, err
	}
	verdict, err := m.receive()
	if err != nil {
		return 0, err
	}
	if v := verdict.(*wire.Verdict).Decision; v == wire.Refuse {
		m.hangUp()
		return sim.Refused, nil
	} else if !proceed {
		return 0, fmt.Errorf("not managed: %v", v)
	}
	return sim.Unlisted, nil
}

func (m *simMachine) Unpack(p sim.Package) (sim.Verdict, error) {
	made := m.made[p.String()]
	h := &wire.Header{Type: wire.Added, Region: made.Region}
	if made.Signature != nil {
		h.Signatures = []header.Signature{{Tag: header.TagRSAHeader, Data: made.Signature}}
	}
	if err := m.after(m.session.header(m.ctx(), h)); err != nil {
		return 0, err
	}
	reply, err := m.receive()
	if err != nil {
		return 0, err
	}
	switch l := reply.(*wire.List); l.Decision {
	case wire.ListNamed:
		return sim.Listed, nil
	case wire.RefuseList:
		return sim.Refused, nil
	}
	return sim.Unlisted, nil
}

func (m *simMachine) Put(p sim.Package) error {
	m.put = p.String()
	if err := m.db.write(append(m.db.installed.Without(p), p), m.simWorld, m.db.keys); err != nil {
		return err
	}
	return m.after(m.d.owner.do(m.ctx(), func(st *state) { st.installed(m.session.txn, 0) }))
}

func (m *simMachine) Failed(sim.Package) error {
	return m.after(m.session.onState(m.ctx(), func(st *state) error { return st.failed(m.session.txn, 0) }))
}

func (m *simMachine) Gone(p sim.Package) error {
	if p.String() != m.put {
		if err := m.db.write(m.db.installed.Without(p), m.simWorld, m.db.keys); err != nil {
			return err
		}
	}
	return m.after(m.session.removed(m.ctx(), &wire.Removed{Digest: m.made[p.String()].Digest}))
}

func (m *simMachine) End() error {
	defer m.hangUp()
	if err := m.after(m.session.end(m.ctx())); err != nil {
		return err
	}
	reply, err := m.receive()
	if err != nil {
		return err
	}
	for _, n := range reply.(*wire.Ack).Notes {
		if strings.Contains(n.Text, "run: digestctl sync") {
			return errors.New(n.Text)
		}
	}
	return nil
}

func (m *simMachine) Lose() error {
	m.session.abandon(m.ctx())
	m.hangUp()
	return m.after(nil)
}
