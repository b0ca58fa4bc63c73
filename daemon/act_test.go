// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store"
	"github.com/digestd/digestd/store/record"
)

// heard is an observer that remembers what it was told, but for Changed.
type heard []string

func (h *heard) ListPublished(list, _ string)         { *h = append(*h, "published "+list) }
func (h *heard) ListWithdrawn(list, _, _ string)      { *h = append(*h, "withdrawn "+list) }
func (h *heard) RollbackRefused(pkg, _ string)        { *h = append(*h, "refused "+pkg) }
func (h *heard) TamperDetected(name, _ string)        { *h = append(*h, "tampered "+name) }
func (h *heard) TransactionFinished(uint32, uint32)   { *h = append(*h, "finished") }
func (h *heard) KeyRevoked(key, _ string, _ uint32)   { *h = append(*h, "revoked "+key) }
func (h *heard) Changed()                             {}
func (h *heard) Denied(id, _, _ string)               { *h = append(*h, "denied "+id) }
func (h *heard) DenialLifted(id, _, _ string)         { *h = append(*h, "lifted "+id) }
func (h *heard) VerificationFinished(_ string, _ int) {}

// stopCommits lets no commit be written until the function that it returns is called.
func (d *Daemon) stopCommits(t *testing.T) (let func()) {
	t.Helper()
	obstacle := filepath.Join(d.Config.State, "index.commit.new")
	if err := os.Mkdir(obstacle, 0o700); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := os.Remove(obstacle); err != nil {
			t.Fatal(err)
		}
	}
}

// memoryOf is all that acts change in memory.
func (d *Daemon) memoryOf(t *testing.T) string {
	t.Helper()
	var data []byte
	err := d.on(t, func(s *ledger.Ledger) (err error) {
		lists := []record.List{}
		for _, e := range s.Sorted() {
			lists = append(lists, e.List)
		}
		lines := map[string]record.Line{}
		for id, l := range s.Lines {
			lines[id.String()] = l
		}
		data, err = json.MarshalIndent([]any{lists, lines, s.Keys, s.Denied, s.Own, s.Order.Lists, s.Prefetch, s.NextSeq, len(s.Kept.Decisions) + len(s.Kept.Tampering)}, "", " ")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// durable is all that the index has, but for its own numbers and the log.
func (d *Daemon) durable(t *testing.T) string {
	t.Helper()
	c, err := d.Index.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"commit", "counter", state.MetaOpen} {
		delete(c.Meta, name)
	}
	c.NextSeq, c.LogSize = 0, 0
	lines := map[string]record.Line{}
	for _, l := range c.Lines {
		lines[l.Name+"."+l.Arch] = l
	}
	retired := []string{}
	for body := range c.Retired {
		retired = append(retired, body.String())
	}
	slices.Sort(retired)
	c.Retired, c.Lines = nil, nil
	data, err := json.MarshalIndent([]any{c, lines, retired}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// serve starts a daemon for a configuration and returns what ends it.
func serve(t *testing.T, c config.Config) (*Daemon, func()) {
	t.Helper()
	d, err := New(c, slog.New(slog.DiscardHandler), func(...string) {})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go d.Exec.Run(ctx)
	return d, func() {
		cancel()
		<-d.Exec.Closed
		d.Close()
	}
}

func testConfig(t *testing.T) config.Config {
	dir := t.TempDir()
	c := config.Default()
	c.Root, c.State, c.Lists = dir, filepath.Join(dir, "state"), filepath.Join(dir, "lists")
	c.Unsigned = "allow" // nobody signs the packages of these tests
	c.Keys, c.Revoked, c.Blacklist = filepath.Join(dir, "keys"), filepath.Join(dir, "revoked"), filepath.Join(dir, "blacklist")
	return c
}

// TestNothingIsToldBeforeItIsDurable: who listens hears of what is on disk.
func TestNothingIsToldBeforeItIsDurable(t *testing.T) {
	d := bare(t)
	var told heard
	if err := d.Observe(t.Context(), &told); err != nil {
		t.Fatal(err)
	}
	commit := func(tampered string) error {
		return d.on(t, func(s *ledger.Ledger) error {
			s.Tampered(tampered, record.Digest{}, "test")
			s.Record()
			return nil
		})
	}
	let := d.stopCommits(t)
	if err := commit("first"); err == nil || len(told) > 0 {
		t.Errorf("commit: %v, told: %v", err, told)
	}
	let()
	if err := commit("second"); err != nil {
		t.Fatal(err)
	}
	if want := []string{"tampered first", "tampered second"}; !slices.Equal(told, want) {
		t.Errorf("told: %v, want %v", told, want)
	}
}

// TestOwnListThatCannotBePublished: its record, which is durable before it, goes again;
// so does that of its removal.
func TestOwnListThatCannotBePublished(t *testing.T) {
	c := testConfig(t)
	d, stop := serve(t, c)
	sum := sha256.Sum256([]byte("content"))
	body, err := digestlist.AppendTLV(nil, []digestlist.Group{{Algo: digestlist.SHA256, Entries: []digestlist.Entry{{Digest: sum[:], Path: "/opt/own"}}}})
	if err == nil {
		err = os.Mkdir(filepath.Join(c.State, ledger.OwnDir), 0o700)
	}
	keep := filepath.Join(c.State, ledger.OwnDir, "upload")
	if err == nil {
		err = os.WriteFile(keep, body, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	own := &ledger.OwnCandidate{Record: record.Own{Name: "mine", Body: sha256.Sum256(body)}, Keep: keep}
	if own.Made, err = d.MakeOwn(d.Dir.Stager("test"), body); err != nil {
		t.Fatal(err)
	}
	memory, durable := d.memoryOf(t), d.durable(t)
	if err := os.Remove(c.Lists); err != nil {
		t.Fatal(err)
	}
	err = d.Exec.Decide(t.Context(), "own", func(s *ledger.Ledger) error {
		_, _, err := s.PublishOwn(own, api.Actor{})
		return err
	})
	if err == nil {
		t.Fatal("published into a directory that is gone")
	}
	events, _, err := d.Index.(*store.Index).Events(0, 10)
	if err != nil || len(events) != 2 || events[0].Kind != "withdrawn" || events[1].Kind != "published" {
		t.Errorf("the log has %+v, %v", events, err)
	}
	err = d.on(t, func(s *ledger.Ledger) error {
		s.NextSeq, s.Kept = 1, state.LogRooms{} // which memoryOf has, and the log keeps
		return nil
	})
	if now := d.memoryOf(t); now != memory || err != nil {
		t.Errorf("memory is\n%s\nand was\n%s", now, memory)
	}
	stop()
	d, stop = serve(t, c)
	defer stop()
	if now, lines := d.durable(t), len(d.Snapshot().Lines); len(d.Snapshot().Own) > 0 || len(d.Snapshot().Entries) > 0 || lines > 1 {
		t.Errorf("the index has\n%s\nand had\n%s", now, durable)
	}
	if left, err := os.ReadDir(filepath.Join(c.State, ledger.OwnDir)); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}
