// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// world is a ledger whose plans are carried out on paper: each effect becomes a line of
// text, and what is durable a map. Effects that fail names fail.
type world struct {
	*Ledger
	t     *testing.T
	lines []string
	index map[string]string // values by "bucket key"
	files map[string]string // what the directory has: as what each was staged
	fail  map[string]error  // by effect: "publish NAME", "withdraw NAME", "intent"
}

func newWorld(t *testing.T, change ...func(*state.Settings)) *world {
	t.Helper()
	settings := state.Settings{Unsigned: policy.UnsignedAllow, Rules: "rules", Signer: "ours", ListDir: "/lists", Boot: "boot", StateDir: "/state"}
	for _, c := range change {
		c(&settings)
	}
	w := &world{Ledger: New(settings, start), t: t, index: map[string]string{}, files: map[string]string{}, fail: map[string]error{}}
	w.Observer = listener{w}
	if err := w.Load(Content{Content: record.Content{NextSeq: 1, Retired: map[record.Digest]record.Retirement{}, Taken: map[string]uint64{}}}); err != nil {
		t.Fatal(err)
	}
	w.KeysRead = true
	w.do(func() error { return nil })
	w.lines = nil
	return w
}

func (w *world) say(format string, args ...any) {
	w.lines = append(w.lines, fmt.Sprintf(format, args...))
}

// listener is the observer of a world.
type listener struct{ *world }

func (w listener) ListPublished(list, _ string) { w.say("signal published %s", list) }
func (w listener) ListWithdrawn(list, _, reason string) {
	w.say("signal withdrawn %s: %s", list, reason)
}
func (w listener) RollbackRefused(pkg, _ string)      { w.say("signal refused %s", pkg) }
func (w listener) TamperDetected(name, why string)    { w.say("signal tampered %s: %s", name, why) }
func (w listener) TransactionFinished(in, out uint32) { w.say("signal finished %d %d", in, out) }
func (w listener) KeyRevoked(key, _ string, n uint32) { w.say("signal revoked %s %d", key, n) }
func (w listener) Changed()                           {}
func (w listener) Denied(id, _, _ string)             { w.say("signal denied %s", id) }
func (w listener) DenialLifted(id, _, _ string)       { w.say("signal lifted %s", id) }

// do has an event happen and carries out its plan, in the order of the executor.
func (w *world) do(event func() error) error {
	w.t.Helper()
	w.Begin()
	if err := event(); err != nil {
		w.Rollback()
		return err
	}
	p := w.Seal()
	all := w.Undo.Queue
	if p.Body != nil {
		w.say("keep %s as %s", p.Body.From, p.Body.To)
	}
	if p.Intent != nil && !p.Intent.Empty() {
		if err := w.fail["intent"]; err != nil {
			w.Rollback()
			return err
		}
		all.Join(*p.Intent)
		w.commit("intent", all)
		w.Undo.Queue = state.Records{}
	}
	w.Stand()
	record, sync, synced := p.Record, p.Sync, p.Synced
	var err error
	for first := true; first || p.Visible(); first = false {
		if !first && p.Intent != nil {
			w.commit("intent", *p.Intent)
		}
		for _, s := range p.Discard {
			w.say("discard %s", s.Name())
		}
		if p.Unknown {
			w.say("withdraw what is unknown")
		}
		if e := w.effects(p); e != nil {
			err = e
		}
		p = w.Seal()
		record, sync, synced = record || p.Record, append(sync, p.Sync...), synced || p.Synced
	}
	for _, s := range p.Discard {
		w.say("discard %s", s.Name())
	}
	if synced {
		w.say("sync %s", strings.Join(sync, " "))
	}
	if record {
		w.ClearMark()
		if queue := w.Queue; !queue.Empty() {
			w.Queue = state.Records{}
			w.commit("record", queue)
		}
		w.TellAll()
	}
	return err
}

func (w *world) effects(p *state.Plan) (err error) {
	for _, x := range p.Withdraw {
		failed := w.fail["withdraw "+x.Name]
		switch {
		case failed != nil && x.Resists != nil:
			err = x.Resists(failed)
			continue
		case failed != nil:
			w.Leave(x.Name, failed)
			continue
		}
		labels := ""
		if x.Entry != nil {
			labels = ", labels"
		}
		w.say("withdraw %s%s", x.Name, labels)
		w.NotLeft(x.Name)
		old := w.takeOut(x.Name)
		if x.Kept != nil {
			x.Kept(old)
		}
	}
	for _, x := range p.Publish {
		r := state.Published{Err: w.fail["publish "+x.Name]}
		if r.Err == nil {
			w.say("publish %s from %s", x.Name, x.Staged.Name())
			r.Stamp = stampOf(x.Staged.Name())
			if old := w.takeOut(x.Name); x.Keep {
				r.Old = old
			}
			w.files[x.Name] = x.Staged.Name()
		}
		if e := x.Then.Appeared(r); e != nil {
			err = e
		}
	}
	for _, x := range p.Aside {
		w.say("set aside %s", x.Name)
		w.takeOut(x.Name)
		x.Then(x.Name+".aside", w.fail["aside "+x.Name])
	}
	return err
}

// takeOut removes a file, and says as what it is staged again.
func (w *world) takeOut(name string) (old record.Staged) {
	if was, ok := w.files[name]; ok {
		delete(w.files, name)
		old = record.StagedAs("old "+strings.TrimPrefix(was, "new "), 1)
	}
	return old
}

func (w *world) commit(what string, r state.Records) {
	w.t.Helper()
	changes, _, err := r.Batch.Records()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range changes {
		key := record.Buckets[c.Bucket] + " " + strings.TrimSuffix(string(c.Key), "\x00")
		if record.Buckets[c.Bucket] == record.BucketRetired {
			key = fmt.Sprintf("%s %x", record.BucketRetired, c.Key[:4])
		}
		if c.Value == nil {
			delete(w.index, key)
		} else {
			w.index[key] = string(c.Value)
		}
	}
	w.say("%s", what)
	for _, e := range r.Events {
		text := "  " + e.Kind
		for _, part := range []string{e.Package, e.Reason} {
			if part != "" {
				text += " " + part
			}
		}
		w.lines = append(w.lines, text)
	}
	w.Committed(&r)
}

// told returns what happened since it was called last, a line each.
func (w *world) told() string {
	text := strings.Join(w.lines, "\n")
	w.lines = nil
	return text
}

// want compares what happened since with lines of text.
func (w *world) want(what, lines string) {
	w.t.Helper()
	var want []string
	for line := range strings.Lines(strings.TrimSpace(lines)) {
		want = append(want, strings.TrimSpace(line))
	}
	var got []string
	for line := range strings.Lines(w.told()) {
		got = append(got, strings.TrimSpace(line))
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("%s: there happened\n\t%s\nwant\n\t%s", what, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// keys are the names of a bucket's records.
func (w *world) keys(bucket string) (keys []string) {
	for _, key := range slices.Sorted(maps.Keys(w.index)) {
		if name, ok := strings.CutPrefix(key, bucket+" "); ok {
			keys = append(keys, name)
		}
	}
	return keys
}

// memory is all that an event may change and must take back when it is refused.
func (w *world) memory() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(w.ByName)) {
		fmt.Fprintf(&b, "%s %+v\n", name, *w.ByName[name])
	}
	fmt.Fprintf(&b, "%v %v %v %v %v %v %v\n", w.Lines, w.Retired, w.Own, w.Keys, w.Leftovers, w.Unsettled, w.NextSeq)
	fmt.Fprintf(&b, "%v %d events", w.Queue.Batch.Empty(), len(w.Queue.Events))
	return b.String()
}

// agree compares the lists in memory with those that are durable, and with the directory.
func (w *world) agree() {
	w.t.Helper()
	for name, e := range w.ByName {
		if _, there := w.files[name]; there != (e.Active() && !e.Broken) {
			w.t.Errorf("%s is there: %v, and %s, broken: %v", name, there, e.State, e.Broken)
		}
		l := e.List
		if l.Own != "" {
			l.Package = nevra.NEVRA{}
		}
		data, err := json.Marshal(l)
		if err != nil {
			w.t.Fatal(err)
		}
		if got := w.index["lists "+name]; got != string(data) {
			w.t.Errorf("of %s the index has\n\t%s\nand memory\n\t%s", name, got, data)
		}
	}
	for name := range w.files {
		if w.ByName[name] == nil {
			w.t.Errorf("the directory has %s, which nobody knows", name)
		}
	}
	for _, name := range w.keys("lists") {
		if w.ByName[name] == nil {
			w.t.Errorf("the index has %s, which nobody knows", name)
		}
	}
}

func sum(text string) record.Digest { return sha256.Sum256([]byte(text)) }

func stampOf(name string) record.Stamp {
	return record.Stamp{Ino: view.DigestRef([]byte(name + "        ")), Regular: true, Links: 1}
}

func parse(t *testing.T, text string) nevra.NEVRA {
	t.Helper()
	pkg, err := nevra.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return pkg
}

// candidate is the list of a package, of which build tells builds of one version apart.
func (w *world) candidate(text, build string) *view.Candidate {
	w.t.Helper()
	pkg := parse(w.t, text)
	name, err := digestlist.PackageName(digestlist.FormatTLV, pkg)
	if err != nil {
		w.t.Fatal(err)
	}
	id := text + build
	body := sum("body " + id)
	return &view.Candidate{Pkg: pkg, Name: name, Header: sum(id), Basis: w.Basis, Made: view.Made{
		Files: 1, Signer: "ours", Body: body, File: sum("file " + id), Staged: record.StagedAs("new "+id, 1),
		Refs: &view.Refs{Digests: []uint64{view.DigestRef(body[:])}}}}
}

func elements(t *testing.T, texts ...string) (all []policy.Element) {
	t.Helper()
	for _, text := range texts {
		e := policy.Element{Type: policy.Added}
		if rest, ok := strings.CutPrefix(text, "-"); ok {
			e.Type, text = policy.Removed, rest
		}
		e.NEVRA = parse(t, text)
		all = append(all, e)
	}
	return all
}

// open begins a transaction of elements: "NEVRA" is added, "-NEVRA" removed.
func (w *world) open(texts ...string) *state.Transaction {
	w.t.Helper()
	t := &state.Transaction{Elements: elements(w.t, texts...), Added: map[record.Digest]*state.Addition{}, ByIndex: map[uint32]*state.Addition{}}
	w.must(func() error {
		w.Opened(t)
		w.Record()
		return nil
	})
	return t
}

func (w *world) must(event func() error) {
	w.t.Helper()
	if err := w.do(event); err != nil {
		w.t.Fatal(err)
	}
}

// add brings a package into t, as its element.
func (w *world) add(t *state.Transaction, element uint32, c *view.Candidate) (a *state.Addition, err error) {
	w.t.Helper()
	err = w.do(func() (err error) {
		a, err = w.Add(t, element, c)
		return err
	})
	return a, err
}

func (w *world) end(t *state.Transaction, installed ...uint32) (published, withdrawn int) {
	w.t.Helper()
	w.must(func() error {
		for _, element := range installed {
			w.Installed(t, element)
		}
		published, withdrawn = w.End(t)
		return nil
	})
	return published, withdrawn
}

func (w *world) remove(t *state.Transaction, element uint32, header record.Digest) {
	w.t.Helper()
	w.must(func() error {
		if e := w.Remove(t, element, header); e != nil {
			w.RemoveNow(t, e)
		}
		return nil
	})
}

// install has a package be installed by a transaction of its own.
func (w *world) install(text, build string) *view.Candidate {
	w.t.Helper()
	c := w.candidate(text, build)
	t := w.open(text)
	if _, err := w.add(t, 0, c); err != nil {
		w.t.Fatal(err)
	}
	w.end(t, 0)
	w.lines = nil
	return c
}

// entry is the list of that name, which must be known.
func (w *world) entry(name string) *view.Entry {
	w.t.Helper()
	e := w.ByName[name]
	if e == nil {
		w.t.Fatalf("nobody knows %s", name)
	}
	return e
}

func (w *world) problem(id string) string {
	for _, p := range w.Problems {
		if p.ID == id {
			return p.Text
		}
	}
	return ""
}
