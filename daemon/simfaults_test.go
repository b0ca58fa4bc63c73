// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/sim"
	"github.com/digestd/digestd/store"
	"github.com/digestd/digestd/store/record"
)

var (
	errInjected = errors.New("injected fault")
	errDead     = errors.New("the process is dead")
)

// faults counts the effects of a process and lets one fail. After a kill or a
// power cut nothing the process does has an effect any more.
type faults struct {
	mu     sync.Mutex
	armed  sim.Fault
	seen   int
	effect string // that was hit
	before int    // of those that can be seen, how many came before it
	shown  int    // of those that can be seen
	dead   bool
	power  bool
}

func (f *faults) arm(fault sim.Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed, f.seen, f.effect, f.before, f.shown = fault, 0, "", 0, 0
}

// goOn counts on from another process, which has ended.
func (f *faults) goOn(before *faults) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed, f.seen, f.effect, f.before, f.shown = before.armed, before.seen, before.effect, before.before, before.shown
}

// hit says how an effect is to fail, nil for not at all.
func (f *faults) hit(effect string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		return errDead
	}
	n, shown := f.seen, f.shown
	f.seen++
	if effect != sim.Keeping {
		f.shown++
	}
	if f.armed.Kind == sim.NoFault || f.effect != "" || n != f.armed.After {
		return nil
	}
	f.effect, f.before = effect, shown
	switch f.armed.Kind {
	case sim.KillAt, sim.PowerAt:
		f.dead, f.power = true, f.armed.Kind == sim.PowerAt
		return errDead
	}
	return errInjected
}

func (f *faults) fired() (string, int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.effect, f.before
}

func (f *faults) crashed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead
}

// faultyIndex is an index whose commits may fail.
type faultyIndex struct {
	simIndex
	faults *faults
	order  *simOrder
}

func (x *faultyIndex) Commit(b *record.Batch) error {
	if !b.Empty() {
		if err := x.faults.hit("commit"); err != nil {
			return err
		}
	}
	err := x.simIndex.Commit(b)
	if err == nil && x.order != nil {
		x.order.committed()
	}
	return err
}

// faultyBodies keeps bodies of own lists by effects that may fail. A power cut may bring
// back what was removed.
type faultyBodies struct {
	executor.Bodies
	faults  *faults
	removed map[string][]byte
}

func (b *faultyBodies) Keep(from, to string) error {
	if err := b.faults.hit(sim.Keeping); err != nil {
		return err
	}
	err := b.Bodies.Keep(from, to)
	if err == nil {
		clear(b.removed) // the sync of the directory made that durable as well
	}
	return err
}

// Remove fails only by a crash: what else keeps a file from being removed is not tried.
func (b *faultyBodies) Remove(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := b.faults.hit(sim.Keeping); errors.Is(err, errDead) {
		return err
	}
	b.removed[path] = data
	return b.Bodies.Remove(path)
}

// cut brings back some of what was removed.
func (b *faultyBodies) cut(loss uint64) {
	r := rand.New(rand.NewPCG(loss, 2))
	for _, path := range slices.Sorted(maps.Keys(b.removed)) {
		if r.IntN(2) == 0 {
			os.WriteFile(path, b.removed[path], 0o600)
		}
	}
}

// faultyDir is a list directory whose effects may fail. It knows what of it is
// durable.
type faultyDir struct {
	simDisk
	faults *faults
	order  *simOrder

	mu      sync.Mutex
	durable map[string][]byte      // as a power cut would leave it at the worst
	synced  map[string]bool        // content of what is there now
	given   map[string]bool        // up by the kernel, which does not write again what it failed to
	kept    map[record.Staged]file // lists that were there and wait in staging
	others  map[string]bool        // what other programs did since the last sync: that is theirs to sync
}

// file is what is known of the content of a list.
type file struct{ synced, given bool }

func newFaultyDir(d simDisk, f *faults) *faultyDir {
	x := &faultyDir{simDisk: d, faults: f, synced: map[string]bool{}, given: map[string]bool{}, kept: map[record.Staged]file{}, others: map[string]bool{}}
	x.mark(nil, true)
	return x
}

// realDisk is a list directory on a disk.
type realDisk struct{ host.Directory }

func (d realDisk) All() map[string][]byte {
	lists := map[string][]byte{}
	names, _ := d.Names()
	for _, name := range names {
		if data, err := os.ReadFile(filepath.Join(d.Path(), name)); err == nil {
			lists[name] = data
		}
	}
	return lists
}

func (d realDisk) Put(name string, data []byte) {
	os.WriteFile(filepath.Join(d.Path(), name), data, 0o644)
}

func (d realDisk) Unlink(name string) { os.Remove(filepath.Join(d.Path(), name)) }

// realIndex is an index on a disk.
type realIndex struct{ *store.Index }

func (x realIndex) content() record.Content {
	c, _ := x.Load()
	return c
}

func (x realIndex) asides() []record.Aside                { return x.content().Asides }
func (x realIndex) ownLists() []record.Own                { return x.content().Own }
func (x realIndex) marked() bool                          { return x.content().Meta[state.MetaOpen] != nil }
func (x realIndex) leftovers() map[string]record.Leftover { c := x.content(); return c.Leftovers() }
func (x realIndex) Lists() ([]record.List, error)         { return x.content().Lists, nil }
func (x realIndex) LastEvent() uint64                     { return x.content().NextSeq - 1 }

func (x realIndex) KindsAfter(seq uint64, fn func(uint64, string)) {
	events, _ := x.EventsAfter(seq, 1000)
	for _, e := range events {
		fn(e.Seq, e.Kind)
	}
}

func (x realIndex) List(name string) (record.List, bool) {
	lists := x.content().Lists
	i := slices.IndexFunc(lists, func(l record.List) bool { return l.Name == name })
	if i < 0 {
		return record.List{}, false
	}
	return lists[i], true
}

// mark notes what a sync made durable: the content of these lists, or of all, and
// which there are.
func (x *faultyDir) mark(names []string, all bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := x.All()
	for name := range now {
		if all || slices.Contains(names, name) {
			x.synced[name] = !x.given[name]
		}
	}
	x.durable = now
	clear(x.others)
}

// give notes that these lists could not be written.
func (x *faultyDir) give(names []string, err error) {
	if errors.Is(err, errDead) {
		return // nothing was asked of the kernel
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, name := range names {
		if !x.synced[name] {
			x.given[name] = true
		}
	}
}

// cut leaves of the directory what a power cut might.
func (x *faultyDir) cut(loss uint64) {
	r := rand.New(rand.NewPCG(loss, 1))
	now := x.All()
	names := map[string]bool{}
	for name := range now {
		names[name] = true
	}
	for name := range x.durable {
		names[name] = true
	}
	for name := range names {
		old, was := x.durable[name]
		data, is := now[name]
		if is && (!was || r.IntN(2) == 0) && (was || r.IntN(2) == 0) {
			if !x.synced[name] {
				data = data[:[]int{0, len(data) / 2, len(data)}[r.IntN(3)]]
			}
			x.Put(name, data)
			continue
		}
		x.Unlink(name)
		if was {
			x.Put(name, old)
		}
	}
}

// appears notes that a list gets the name. Its content is on the disk only if it was
// there before, and was synced then.
func (x *faultyDir) appears(s record.Staged, name string) (was file) {
	x.mu.Lock()
	defer x.mu.Unlock()
	was = file{x.synced[name], x.given[name]}
	x.synced[name], x.given[name] = x.kept[s].synced, x.kept[s].given
	delete(x.kept, s)
	return was
}

// keeps notes that a list waits in staging.
func (x *faultyDir) keeps(s record.Staged, was file) {
	if s != (record.Staged{}) {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.kept[s] = was
	}
}

func (x *faultyDir) Publish(s record.Staged, name string, poke bool) error {
	if err := x.faults.hit("publish"); err != nil {
		return err
	}
	x.order.published(name)
	x.appears(s, name)
	return x.simDisk.Publish(s, name, poke)
}

func (x *faultyDir) PublishKeeping(s record.Staged, name string) (record.Staged, error) {
	if err := x.faults.hit("publish"); err != nil {
		return record.Staged{}, err
	}
	x.order.published(name)
	was := x.appears(s, name)
	old, err := x.simDisk.PublishKeeping(s, name)
	x.keeps(old, was)
	return old, err
}

func (x *faultyDir) Remove(name string) error {
	if err := x.faults.hit("withdraw"); err != nil {
		return err
	}
	return x.simDisk.Remove(name)
}

func (x *faultyDir) TakeOut(name string) (record.Staged, error) {
	if err := x.faults.hit("withdraw"); err != nil {
		return record.Staged{}, err
	}
	x.mu.Lock()
	was := file{x.synced[name], x.given[name]}
	x.mu.Unlock()
	old, err := x.simDisk.TakeOut(name)
	x.keeps(old, was)
	return old, err
}

func (x *faultyDir) Quarantine(name, stamp string) (string, error) {
	if err := x.faults.hit("quarantine"); err != nil {
		return "", err
	}
	return x.simDisk.Quarantine(name, stamp)
}

func (x *faultyDir) Poke() error {
	if err := x.faults.hit("poke"); err != nil {
		return err
	}
	return x.simDisk.Poke()
}

func (x *faultyDir) Sync(names ...string) error {
	if err := x.faults.hit("sync"); err != nil {
		x.give(names, err)
		return err
	}
	defer x.mark(names, false)
	return x.simDisk.Sync(names...)
}

func (x *faultyDir) SyncLists(names []string) error {
	if err := x.faults.hit("sync"); err != nil {
		x.give(names, err)
		return err
	}
	x.mu.Lock()
	for _, name := range names {
		x.synced[name] = !x.given[name]
	}
	x.mu.Unlock()
	return x.simDisk.SyncLists(names)
}

func (x *faultyDir) SyncAll() error {
	if err := x.faults.hit("sync"); err != nil {
		return err
	}
	defer x.mark(nil, true)
	return x.simDisk.SyncAll()
}

// RemoveMany is as many effects as there are lists.
func (x *faultyDir) RemoveMany(names []string, out func()) (contents [][]byte, errs []error) {
	contents = make([][]byte, len(names))
	fail := func(i int, err error) {
		if errs == nil {
			errs = make([]error, len(names))
		}
		errs[i] = err
	}
	for i := range names {
		if err := x.faults.hit("withdraw"); err != nil {
			fail(i, err)
			continue
		}
		c, e := x.simDisk.RemoveMany(names[i:i+1], out)
		contents[i] = c[0]
		if e != nil {
			fail(i, e[0])
		}
	}
	return contents, errs
}
