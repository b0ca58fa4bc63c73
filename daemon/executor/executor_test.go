// SPDX-License-Identifier: Apache-2.0

package executor_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store"
	"github.com/digestd/digestd/store/listdir"
	"github.com/digestd/digestd/store/record"
)

// machine is an executor on a list directory and an index in a file system, which notes
// what is done to them and may fail.
type machine struct {
	*executor.Executor
	dir    *disk
	index  *ledgerIndex
	did    []string
	fail   map[string]error // by what is done; see did
	stager *listdir.Stager
}

// disk is a list directory that notes changes.
type disk struct {
	*listdir.Dir
	m *machine
}

// ledgerIndex is an index that notes commits.
type ledgerIndex struct {
	*store.Index
	m *machine
}

// note notes what is done, and returns how it fails.
func (m *machine) note(what string) error {
	m.did = append(m.did, what)
	return m.fail[what]
}

func (d *disk) Publish(s record.Staged, name string, poke bool) error {
	if err := d.m.note("publish " + name); err != nil {
		return err
	}
	return d.Dir.Publish(s, name, poke)
}

func (d *disk) PublishKeeping(s record.Staged, name string) (record.Staged, error) {
	if err := d.m.note("publish " + name); err != nil {
		return record.Staged{}, err
	}
	return d.Dir.PublishKeeping(s, name)
}

func (d *disk) Stat(name string) (record.Stamp, error) {
	if err := d.m.fail["stat "+name]; err != nil {
		return record.Stamp{}, err
	}
	return d.Dir.Stat(name)
}

func (d *disk) Read(name string, buf []byte) ([]byte, error) {
	if err := d.m.fail["read "+name]; err != nil {
		return nil, err
	}
	return d.Dir.Read(name, buf)
}

func (d *disk) Size(name string, most int64) (int64, error) {
	if err := d.m.fail["size "+name]; err != nil {
		return 0, err
	}
	return d.Dir.Size(name, most)
}

func (d *disk) Names() ([]string, error) {
	if err := d.m.fail["names"]; err != nil {
		return nil, err
	}
	return d.Dir.Names()
}

func (d *disk) TakeOut(name string) (record.Staged, error) {
	if err := d.m.note("withdraw " + name); err != nil {
		return record.Staged{}, err
	}
	return d.Dir.TakeOut(name)
}

func (d *disk) RemoveMany(names []string, out func()) (contents [][]byte, errs []error) {
	for _, name := range names {
		if err := d.m.note("withdraw " + name); err != nil {
			contents, errs = append(contents, nil), append(errs, err)
			continue
		}
		one, failed := d.Dir.RemoveMany([]string{name}, out)
		if failed == nil {
			failed = []error{nil}
		}
		contents, errs = append(contents, one...), append(errs, failed...)
	}
	return contents, errs
}

func (d *disk) Quarantine(name, stamp string) (string, error) {
	if err := d.m.note("set aside " + name); err != nil {
		return "", err
	}
	return d.Dir.Quarantine(name, stamp)
}

func (d *disk) Remove(name string) error {
	if err := d.m.note("remove " + name); err != nil {
		return err
	}
	return d.Dir.Remove(name)
}

func (d *disk) Poke() error { return d.m.note("poke") }

func (d *disk) SetPrefetch(on bool) error { return d.m.note(fmt.Sprint("prefetch ", on)) }

func (d *disk) Sync(names ...string) error {
	if err := d.m.note(strings.TrimSpace("sync " + strings.Join(names, " "))); err != nil {
		return err
	}
	return d.Dir.Sync(names...)
}

func (d *disk) SyncAll() error {
	if err := d.m.note("sync all"); err != nil {
		return err
	}
	return d.Dir.SyncAll()
}

func (d *disk) SyncLists(names []string) error {
	return d.m.fail["sync lists"] // beside the turn: nothing is noted
}

func (d *disk) Hold(names []string) ([]string, error) { return names, d.m.note("hold") }

func (ix *ledgerIndex) Commit(b *record.Batch) error {
	if err := ix.m.note("commit"); err != nil {
		return err
	}
	return ix.Index.Commit(b)
}

func (ix *ledgerIndex) Settle() error {
	if err := ix.m.fail["settle"]; err != nil {
		return err
	}
	return ix.Index.Settle()
}

func (ix *ledgerIndex) Behind() error { return ix.m.fail["behind"] }

// observer notes signals.
type observer struct{ m *machine }

func (o observer) ListPublished(list, _ string)        { o.m.note("tell published " + list) }
func (o observer) ListWithdrawn(list, _, _ string)     { o.m.note("tell withdrawn " + list) }
func (o observer) RollbackRefused(string, string)      { o.m.note("tell refused") }
func (o observer) TamperDetected(name, _ string)       { o.m.note("tell tampered " + name) }
func (o observer) TransactionFinished(uint32, uint32)  { o.m.note("tell finished") }
func (o observer) KeyRevoked(string, string, uint32)   { o.m.note("tell revoked") }
func (o observer) Denied(string, string, string)       { o.m.note("tell denied") }
func (o observer) DenialLifted(string, string, string) { o.m.note("tell lifted") }
func (o observer) Changed()                            {}

func newMachine(t *testing.T) *machine {
	t.Helper()
	root := t.TempDir()
	dir, err := listdir.Open(filepath.Join(root, "lists"))
	if err != nil {
		t.Fatal(err)
	}
	index, _, err := store.Open(filepath.Join(root, "state"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close(); index.Close() })
	m := &machine{fail: map[string]error{}, stager: dir.Stager("test")}
	m.dir, m.index = &disk{dir, m}, &ledgerIndex{index, m}
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	s := ledger.New(state.Settings{Mode: policy.Enforce, ListDir: dir.Path(), StateDir: filepath.Join(root, "state"), Boot: "boot-1"}, now)
	m.Executor = executor.New(s, m.index, m.dir, nil, slog.New(slog.DiscardHandler), func() time.Time { return now })
	s.Observer = observer{m}
	s.Stand()
	return m
}

// staged is a list that waits for its name.
func (m *machine) staged(t *testing.T, content string) record.Staged {
	t.Helper()
	s, err := m.stager.Write([]byte(content))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// holds lists what is in the list directory.
func (m *machine) holds(t *testing.T) string {
	t.Helper()
	return entries(t, m.dir.Path())
}

func entries(t *testing.T, path string) string {
	t.Helper()
	all, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range all {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// recorded lists what the index holds: lists, and the mark.
func (m *machine) recorded(t *testing.T) string {
	t.Helper()
	c, err := m.index.Load()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range c.Lists {
		names = append(names, l.Name)
	}
	for _, l := range c.Lines {
		names = append(names, l.Name)
	}
	if c.Meta[state.MetaOpen] != nil {
		names = append(names, "open")
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// place publishes a list of that name and enters it, as it is after its activation.
func (m *machine) place(t *testing.T, name, content string) *view.Entry {
	t.Helper()
	err := m.Decide(t.Context(), "place", func(s *ledger.Ledger) error {
		m.publish(t, s, name, content)
		s.Record()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	m.did = nil
	return m.State.ByName[name]
}

func (m *machine) publish(t *testing.T, s *ledger.Ledger, name, content string) {
	staged := m.staged(t, content)
	s.Plan.Publish = append(s.Plan.Publish, state.Publication{Name: name, Staged: staged, Previous: s.ByName[name], Read: true, Then: state.Do(func(p state.Published) error {
		if p.Err == nil {
			s.Save(&view.Entry{Stamp: p.Stamp, List: record.List{Name: name, State: record.Active, Header: record.Digest{name[len(name)-1]},
				Package: nevra.NEVRA{Name: name, EVR: nevra.EVR{Version: "1", Release: "1"}, Arch: "noarch"}}})
			s.After(func(o state.Observer) { o.ListPublished(name, "") })
		}
		return p.Err
	})})
}

// withdraw has a list leave, as a revocation does.
func withdraw(s *ledger.Ledger, name string) {
	e := s.ByName[name]
	s.Queue.Batch.DeleteList(name)
	s.Forget(name)
	s.Plan.Withdraw = append(s.Plan.Withdraw, state.Withdrawal{Name: name, Entry: e})
	s.After(func(o state.Observer) { o.ListWithdrawn(name, "", "") })
}

var errDisk = errors.New("the disk refuses")

// A plan is carried out in one order, whatever order the event asked in.
func TestOrderOfEffects(t *testing.T) {
	m := newMachine(t)
	m.place(t, "tlv-old", "old")
	m.place(t, "tlv-same", "first")
	if err := os.WriteFile(filepath.Join(m.dir.Path(), "tlv-x"), []byte("another program's"), 0o644); err != nil {
		t.Fatal(err)
	}
	var done executor.Done
	var lost []string
	m.Hooks.After = func(d executor.Done) { done.Add(d) }
	m.Hooks.Lost = func(w state.Withdrawal, data []byte) { lost = append(lost, w.Name+"="+string(data)) }
	m.Hooks.Passed = func(event string, i failpoint.Instant) { m.note(fmt.Sprint(event, ":", i)) }
	before := m.Published.Load()
	err := m.Decide(t.Context(), "test", func(s *ledger.Ledger) error {
		s.Plan.Poke = true
		s.Quarantine(&state.Seen{Expected: state.Expected{Name: "tlv-x"}}, record.Digest{}, "put there")
		m.publish(t, s, "tlv-new", "new")
		m.publish(t, s, "tlv-same", "second")
		s.SetLine(record.Line{Name: "why"})
		withdraw(s, "tlv-old")
		s.Intend()
		s.Sync("tlv-new")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"test:before-intent", "commit", "test:after-intent",
		"test:before-withdraw", "withdraw tlv-old", "test:between-withdrawals", "test:after-withdraw",
		"test:before-publish", "publish tlv-new", "test:between-publications", "publish tlv-same", "test:between-publications", "test:after-publish",
		"test:before-aside", "set aside tlv-x", "test:after-aside",
		"poke",
		"test:before-sync", "sync tlv-new",
		"test:before-commit", "commit", "test:after-commit",
		"tell withdrawn tlv-old", "tell published tlv-new", "tell published tlv-same", "tell tampered tlv-x",
	}
	if !slices.Equal(m.did, want) {
		t.Errorf("done: %q\nwant: %q", m.did, want)
	}
	if got := m.holds(t); got != "tlv-new tlv-same" {
		t.Errorf("the directory holds %s", got)
	}
	if got := m.recorded(t); got != "open tlv-new tlv-same why" && got != "tlv-new tlv-same why" {
		t.Errorf("the index holds %s", got)
	}
	if !slices.Equal(lost, []string{"tlv-old=old"}) || len(done.Gone) != 1 || string(done.Gone[0].Data) != "old" ||
		len(done.Renewed) != 1 || string(done.Renewed[0].Data) != "first" {
		t.Errorf("lost: %q, done: %+v", lost, done)
	}
	if after := m.Published.Load(); after == before || after.List("tlv-old") != nil || after.List("tlv-new") == nil || len(before.Entries) != 2 {
		t.Error("readers do not see what was done")
	}
}

// After an error, or where the intent cannot be made durable, nothing has happened, and
// the same event does its work the next time.
func TestNothingHasHappened(t *testing.T) {
	m := newMachine(t)
	m.place(t, "tlv-old", "old")
	on := true
	body := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(body, []byte("body"), 0o600); err != nil {
		t.Fatal(err)
	}
	event := func(after error) func(s *ledger.Ledger) error {
		return func(s *ledger.Ledger) error {
			s.SetLine(record.Line{Name: "why"})
			s.Intend()
			s.Prefetch, s.Plan.Prefetch = true, &on
			withdraw(s, "tlv-old")
			if after == nil {
				m.publish(t, s, "tlv-new", "new")
			}
			return after
		}
	}
	check := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v", what, err)
		}
		if got := m.holds(t); got != "tlv-old" {
			t.Errorf("%s: the directory holds %s", what, got)
		}
		s := m.State
		if s.ByName["tlv-old"] == nil || len(s.Lines) != 0 || s.Prefetch || !s.Queue.Empty() || s.Plan.Visible() {
			t.Errorf("%s: memory has changed: %v, %v", what, s.ByName, s.Lines)
		}
		if got := entries(t, m.dir.Path()+".staging"); got != "" {
			t.Errorf("%s: staged is still %s", what, got)
		}
		if v := m.Published.Load(); v.List("tlv-old") == nil || len(v.Lines) != 0 {
			t.Errorf("%s: readers see it", what)
		}
	}
	refused := errors.New("refused")
	check("refused", m.Decide(t.Context(), "test", event(refused)), refused)
	if len(m.did) != 0 {
		t.Errorf("done: %q", m.did)
	}
	m.fail["commit"] = errDisk
	check("without an intent", m.Decide(t.Context(), "test", event(nil)), errDisk)
	if !slices.Equal(m.did, []string{"prefetch true", "commit", "prefetch false"}) {
		t.Errorf("done: %q", m.did)
	}
	if len(m.State.Problems) == 0 || m.State.Problems[0].ID != "index" {
		t.Errorf("told: %+v", m.State.Problems)
	}
	m.fail["prefetch true"] = errDisk
	check("without the attribute", m.Decide(t.Context(), "test", event(nil)), errDisk)
	err := m.Enter(t.Context(), "test", func(s *ledger.Ledger) error {
		s.Plan.Body = &state.BodyMove{From: body, To: filepath.Join(filepath.Dir(body), "not", "there")}
		return nil
	})
	check("without the body", err, fs.ErrNotExist)

	clear(m.fail)
	kept := filepath.Join(filepath.Dir(body), "kept")
	err = m.Decide(t.Context(), "test", func(s *ledger.Ledger) error {
		s.Plan.Body = &state.BodyMove{From: body, To: kept}
		return event(nil)(s)
	})
	if err != nil || m.holds(t) != "tlv-new" || m.State.ByName["tlv-old"] != nil || !m.State.Prefetch || len(m.State.Problems) != 0 {
		t.Errorf("the next time: %v, the directory holds %s, told: %+v", err, m.holds(t), m.State.Problems)
	}
	if data, err := os.ReadFile(kept); err != nil || string(data) != "body" {
		t.Errorf("kept: %q, %v", data, err)
	}
}
