// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store/record"
)

// simOrder watches in which order effects come. It asks the index itself what is
// durable, never the state that is tried.
type simOrder struct {
	world *simWorld
	index simIndex
	lists *faultyDir

	mu       sync.Mutex
	marked   bool
	seen     uint64         // of the log, up to where it is counted
	recorded map[string]int // what the log has and nobody was told of, by signal
	wrong    string
}

func newSimOrder(w *simWorld, index simIndex, lists *faultyDir) *simOrder {
	o := &simOrder{world: w, index: index, lists: lists, recorded: map[string]int{}}
	o.marked, o.seen = index.marked(), index.LastEvent()
	return o
}

// violated notes the first thing that came too early.
func (o *simOrder) violated(format string, args ...any) {
	if o.wrong == "" {
		o.wrong = fmt.Sprintf(format, args...)
	}
}

// take returns what came too early since the last call.
func (o *simOrder) take() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	wrong := o.wrong
	o.wrong = ""
	return wrong
}

// published is told before a list appears.
func (o *simOrder) published(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l, recorded := o.index.List(name); !o.marked && (!recorded || l.Change == "") {
		o.violated("a list appears while the index has no mark that one may")
	}
}

// signals are told of what the log records under these names.
var signals = map[string]string{
	"withdrawn": "ListWithdrawn", "key-revoked": "KeyRevoked", "rollback-refused": "RollbackRefused", "tampered": "TamperDetected",
	"denied": "Denied", "denial-lifted": "DenialLifted", "denial-expired": "DenialLifted",
}

// committed is told after a commit: the mark may go only once all that is in the
// directory is recorded and on the disk.
func (o *simOrder) committed() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.index.KindsAfter(o.seen, func(seq uint64, kind string) {
		o.recorded[signals[kind]]++
		o.seen = seq
	})
	was := o.marked
	if o.marked = o.index.marked(); was == o.marked || o.marked {
		return
	}
	lists, err := o.index.Lists()
	if err != nil {
		o.violated("an index that can be read")
	}
	for _, l := range lists {
		if l.State == record.Active && l.Change == "" && o.lists.unsynced(l.Name) {
			o.violated("the mark goes before a list is on the disk that is recorded: %s", l.Name)
		}
	}
	left := o.index.leftovers()
	for name, data := range o.lists.All() {
		if _, goes := left[name]; goes {
			continue
		}
		ours := o.world.list(name, data).whole
		if l, recorded := o.index.List(name); ours && (!recorded || l.State != record.Active) {
			o.violated("the mark goes while a list is there that nothing records")
		}
	}
}

// told is told before a signal is sent.
func (o *simOrder) told(signal, list string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if signal != "ListPublished" {
		if o.recorded[signal] == 0 {
			o.violated("a signal is sent before the index has what it tells of: %s", signal)
		} else if signal != "KeyRevoked" { // which may be told again for one record
			o.recorded[signal]--
		}
		return
	}
	if l, recorded := o.index.List(list); !recorded || l.State != record.Active {
		o.violated("a signal is sent before the index has what it tells of: %s", signal)
	}
}

// unsynced reports whether a power cut could take the list away or alter it.
func (x *faultyDir) unsynced(name string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	data, is := x.All()[name]
	if !is {
		return false
	}
	durable, there := x.durable[name]
	return !there || !x.synced[name] || !bytes.Equal(durable, data)
}

// loose names a list of which a power cut could undo what was done last, "" if there
// is none.
func (x *faultyDir) loose() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := x.All()
	for name, data := range now {
		if durable, there := x.durable[name]; !x.others[name] && (!there || !x.synced[name] || !bytes.Equal(durable, data)) {
			return name
		}
	}
	for name := range x.durable {
		if _, there := now[name]; !there && !x.others[name] {
			return name
		}
	}
	return ""
}

// foreign notes that another program is at a list.
func (x *faultyDir) foreign(name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.others[name] = true
}

// twins returns the name of a package of which there are two lists that differ: they have
// different numbers, or one has none.
func (m *simMachine) twins() string {
	contents := map[string][]int{}
	for numbered, data := range m.lists.All() {
		name := digestlist.WithoutSequence(numbered)
		has := m.list(name, data).contents
		if other, two := contents[name]; two && !slices.Equal(has, other) {
			return name
		}
		contents[name] = has
	}
	return ""
}

// Astray names a list that another key signed than the one that signs, a file in
// quarantine or the body of an own list that the index does not know, or one that it knows
// and that is not there.
func (m *simMachine) Astray() string {
	if m.config.Sign != ledger.SignNone {
		if name := m.signedByAnother(); name != "" {
			return name + ", by another key than the one that signs"
		}
	}
	if file := m.bound(); file != "" {
		return file
	}
	if fault := m.logFault(); fault != "" {
		return fault
	}
	if name := m.twins(); name != "" {
		return "two lists of " + name
	}
	names, err := m.lists.Quarantined()
	if err != nil {
		return err.Error()
	}
	recorded := map[string]bool{}
	for _, a := range m.index().asides() {
		recorded[a.Name] = true
	}
	for _, name := range names {
		if !recorded[name] {
			return name + " in quarantine"
		}
	}
	files, err := os.ReadDir(filepath.Join(m.config.State, ledger.OwnDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err.Error()
	}
	bodies := map[string]record.Digest{}
	for _, o := range m.index().ownLists() {
		if o.Removed.IsZero() {
			bodies[ledger.OwnBody(m.config.State, o)] = o.Body
		}
	}
	for _, file := range files {
		path := filepath.Join(m.config.State, ledger.OwnDir, file.Name())
		data, err := os.ReadFile(path)
		if sum, recorded := bodies[path]; err != nil || !recorded || record.Digest(sha256.Sum256(data)) != sum {
			return "the body " + file.Name()
		}
		delete(bodies, path)
	}
	for path := range bodies {
		return "no body " + filepath.Base(path)
	}
	return ""
}

// signedByAnother names a list that is not signed by the key that signs now, "" if there is
// none. One that was replaced and stays keeps its signature: nothing is left to make it of. One
// of an image has that of its builder, see Signed.
func (m *simMachine) signedByAnother() string {
	for name, data := range m.lists.All() {
		if l, _ := m.index().List(name); l.Grace == "" && !m.lent(data) && !m.signedBy(data, m.d.Builder.Load().Identity.Cert) {
			return name
		}
	}
	return ""
}

func (m *simMachine) index() simIndex { return m.order.index }

// Loose names a list that an answered act left unsynced.
func (m *simMachine) Loose() string { return m.lists.loose() }

// Early tells what was done before that which must be durable first.
func (m *simMachine) Early() string { return m.order.take() }

// logFault is what is wrong with the hash chain of the log, "" for nothing: no crash and no
// error breaks it.
func (m *simMachine) logFault() string {
	var chain record.Chain
	var checked *record.Checked
	var entries []logEntry
	err := m.index().EachEntry(func(data []byte) { chain, _ = record.ReadChain(data, 0) },
		func(seq uint64, value []byte) { entries = append(entries, m.log.entry(len(entries), seq, value)) })
	if err != nil {
		return err.Error()
	}
	fresh := entries
	if before := &m.log; before.stands(chain, entries) {
		checked, fresh = before.checked, entries[len(before.entries):]
	} else {
		checked = chain.Check()
	}
	for _, e := range fresh {
		checked.Entry(chain, e.seq, e.value)
	}
	m.log = checkedLog{chain, entries, checked}
	if checked.Entries == 0 && chain.From == 0 {
		return ""
	}
	checked.End(chain)
	if len(checked.Faults) > 0 {
		return "the log: " + checked.Faults[0]
	}
	return ""
}

// checkedLog is a log of which the hash chain was checked: those checks need not be made again
// as long as nothing but new entries came.
type checkedLog struct {
	chain   record.Chain
	entries []logEntry
	checked *record.Checked
}

type logEntry struct {
	seq   uint64
	value []byte
}

// entry is the entry at a place, which is kept if it is the one that was there.
func (l *checkedLog) entry(at int, seq uint64, value []byte) logEntry {
	if at < len(l.entries) && l.entries[at].seq == seq && bytes.Equal(l.entries[at].value, value) {
		return l.entries[at]
	}
	return logEntry{seq, bytes.Clone(value)}
}

// stands reports whether a log begins with all that was checked.
func (l *checkedLog) stands(c record.Chain, entries []logEntry) bool {
	was := l.chain
	return l.checked != nil && len(l.checked.Faults) == 0 && c.From == was.From && len(entries) >= len(l.entries) &&
		c.Decisions.Dropped == was.Decisions.Dropped && c.Decisions.DroppedHash == was.Decisions.DroppedHash && c.Decisions.Seq >= was.Decisions.Seq &&
		c.Tampering.Dropped == was.Tampering.Dropped && c.Tampering.DroppedHash == was.Tampering.DroppedHash && c.Tampering.Seq >= was.Tampering.Seq &&
		slices.EqualFunc(l.entries, entries[:len(l.entries)], func(a, b logEntry) bool { return a.seq == b.seq && bytes.Equal(a.value, b.value) })
}
