// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
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

// uploaded sends an own list of one file.
func (d *Daemon) uploaded(t *testing.T, by api.Actor, content string) uint64 {
	t.Helper()
	sum := sha256.Sum256([]byte(content))
	body, err := digestlist.AppendTLV(nil, []digestlist.Group{{Algo: digestlist.SHA256, Entries: []digestlist.Entry{{Digest: sum[:], Path: "/opt/own"}}}})
	if err != nil {
		t.Fatal(err)
	}
	id, err := d.OwnAppend(t.Context(), by, 0, body)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestFailedActHasNotHappened: what was answered with an error leaves no trace, in
// memory or with the next commit or after a restart; nobody hears of it; and the
// same act succeeds as soon as it can be recorded.
func TestFailedActHasNotHappened(t *testing.T) {
	const key, gone = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	by := api.Actor{Sender: ":1.1"}
	silent := func(string, int, int) {}
	own := func(content string, base uint64) func(*testing.T, *Daemon) error {
		return func(t *testing.T, d *Daemon) error {
			_, err := d.OwnPublish(t.Context(), by, api.OwnRequest{Name: "mine", Base: base, Upload: d.uploaded(t, by, content)}, silent)
			return err
		}
	}
	for name, test := range map[string]struct {
		before, act func(t *testing.T, d *Daemon) error
	}{
		"grant": {act: func(t *testing.T, d *Daemon) error {
			_, err := d.RollbackGrant(t.Context(), by, "hello-0-1.noarch", "why")
			return err
		}},
		"grant taken back": {
			before: func(t *testing.T, d *Daemon) error {
				_, err := d.RollbackGrant(t.Context(), by, "hello-0-1.noarch", "why")
				return err
			},
			act: func(t *testing.T, d *Daemon) error { return d.RollbackRevoke(t.Context(), by, "hello-0-1.noarch") },
		},
		"floor": {act: func(t *testing.T, d *Daemon) error { return d.FloorSet(t.Context(), by, "hello.noarch", "2-1", "why") }},
		"floor cleared": {
			before: func(t *testing.T, d *Daemon) error { return d.FloorSet(t.Context(), by, "hello.noarch", "1-1", "why") },
			act:    func(t *testing.T, d *Daemon) error { return d.FloorClear(t.Context(), by, "hello.noarch", "why") },
		},
		"order": {act: func(t *testing.T, d *Daemon) error {
			_, err := d.OrderSet(t.Context(), by, [][]byte{[]byte(filepath.Join(d.Config.Lists, "tlv-hello-0:1-1.noarch"))}, "why")
			return err
		}},
		"order cleared": {
			before: func(t *testing.T, d *Daemon) error {
				_, err := d.OrderSet(t.Context(), by, [][]byte{[]byte(filepath.Join(d.Config.Lists, "tlv-hello-0:1-1.noarch"))}, "why")
				return err
			},
			act: func(t *testing.T, d *Daemon) error { return d.OrderClear(t.Context(), by, "why") },
		},
		"denial of a package": {act: func(t *testing.T, d *Daemon) error {
			_, err := d.Deny(t.Context(), by, "hello", "", "why", "", time.Time{})
			return err
		}},
		"denial of a content": {act: func(t *testing.T, d *Daemon) error {
			sum := sha256.Sum256([]byte("a"))
			_, err := d.Deny(t.Context(), by, "sha256:"+record.Digest(sum).String(), "", "why", "", time.Time{})
			return err
		}},
		"denial lifted": {
			before: func(t *testing.T, d *Daemon) error {
				_, err := d.Deny(t.Context(), by, "other", "", "why", "", time.Time{})
				return err
			},
			act: func(t *testing.T, d *Daemon) error {
				_, err := d.DenialLift(t.Context(), by, "other", "why")
				return err
			},
		},
		"revocation": {act: func(t *testing.T, d *Daemon) error {
			_, err := d.KeyRevoke(t.Context(), by, key, "why")
			return err
		}},
		"key restored": {act: func(t *testing.T, d *Daemon) error {
			_, err := d.KeyRestore(t.Context(), by, gone, "why")
			return err
		}},
		"own list": {act: own("one", 0)},
		"own list, anew": {
			before: own("one", 0),
			act:    own("two", 1),
		},
		"own list removed": {
			before: own("one", 0),
			act: func(t *testing.T, d *Daemon) error {
				_, err := d.OwnRemove(t.Context(), by, "mine", "why", silent)
				return err
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := testConfig(t)
			c.Labels = false
			d, stop := serve(t, c)
			d.publishFor(t, "hello", "a", "b")
			if err := d.rooms.Keys.Refresh(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			err := d.on(t, func(s *ledger.Ledger) error {
				e := *s.ByName["tlv-hello-0:1-1.noarch"]
				e.Key = key // which is in no store: the list stays until the stores are read again
				s.Save(&e)
				s.SaveLine(view.LineOf(e.Package), s.PolicyLine(view.LineOf(e.Package)).Activate(e.Package.EVR, e.Counter))
				s.SetKey(record.Key{Fingerprint: key, Owner: "somebody", FirstSeen: s.Now()})
				s.SetKey(record.Key{Fingerprint: gone, Owner: "another", FirstSeen: s.Now(),
					Revoked: &record.KeyRevocation{Source: grounds.SourceAdministrator, Hard: true}})
				s.Record()
				return nil
			})
			if err == nil && test.before != nil {
				err = test.before(t, d)
			}
			if err == nil {
				err = d.probe(t)
			}
			var told heard
			err = errors.Join(err, d.Observe(t.Context(), &told))
			lists, lerr := d.Dir.Names()
			if err = errors.Join(err, lerr); err != nil {
				t.Fatal(err)
			}
			told = nil
			memory, durable := d.memoryOf(t), d.durable(t)

			let := d.stopCommits(t)
			if err := test.act(t, d); err == nil {
				t.Fatal("it succeeded without a record")
			}
			if d.Snapshot().Problems == nil {
				t.Error("status has no problem to tell")
			}
			let()
			if now := d.memoryOf(t); now != memory {
				t.Errorf("memory is\n%s\nand was\n%s", now, memory)
			}
			err = d.probe(t)
			if now := d.durable(t); now != durable || err != nil {
				t.Errorf("with the next commit (%v) the index has\n%s\nand had\n%s", err, now, durable)
			}
			if now, err := d.Dir.Names(); !slices.Equal(now, lists) || err != nil {
				t.Errorf("the directory has %v (%v), and had %v", now, err, lists)
			}
			if len(told) > 0 {
				t.Errorf("somebody heard of it: %v", told)
			}
			stop()
			d, stop = serve(t, c)
			defer stop()
			if now := d.durable(t); now != durable {
				t.Errorf("after a restart the index has\n%s\nand had\n%s", now, durable)
			}
			if err := test.act(t, d); err != nil {
				t.Errorf("again: %v", err)
			}
			if now := d.durable(t); now == durable {
				t.Error("the act has no effect")
			}
		})
	}
}

// TestRevocationIsCarriedOutAgain: one that is on record, but whose lists could not be
// taken away, is carried out when it is said again; a second time it is known.
func TestRevocationIsCarriedOutAgain(t *testing.T) {
	const key = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	d := bare(t)
	list := d.publishFor(t, "hello", "a")
	err := d.on(t, func(s *ledger.Ledger) error {
		e := *s.ByName[list]
		e.Key = key
		s.Put(&e)
		s.SetKey(record.Key{Fingerprint: key, Owner: "somebody"})
		s.Note(key, record.KeyRevocation{Source: grounds.SourceAdministrator, Hard: true}, s.Now())
		s.Record()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.KeyRevoke(t.Context(), api.Actor{}, key, "again"); err != nil {
		t.Errorf("said again: %v", err)
	}
	if names, err := d.Dir.Names(); err != nil || len(names) > 0 {
		t.Errorf("the directory has %v, %v", names, err)
	}
	if _, err := d.KeyRevoke(t.Context(), api.Actor{}, key, "again"); err == nil {
		t.Error("revoked once more")
	}
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
