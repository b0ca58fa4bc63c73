// SPDX-License-Identifier: Apache-2.0

package query_test

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/store/record"
	"go.etcd.io/bbolt"
)

// events records n decisions of a kind, one a commit.
func events(t *testing.T, m *daemontest.Machine, kind string, n int) {
	t.Helper()
	for i := range n {
		err := m.Exec.Enter(t.Context(), "note", func(s *ledger.Ledger) error {
			s.Event(record.Event{Kind: kind, Package: fmt.Sprint(i), Text: "<&> \u2028"})
			s.Record()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// verified is what a check of the log finds.
func verified(t *testing.T, m *daemontest.Machine, head string) api.LogCheck {
	t.Helper()
	c, err := m.LogVerify(t.Context(), head)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// tamper changes the stopped machine's index as somebody does who knows its format.
func tamper(t *testing.T, m *daemontest.Machine, fn func(log *bbolt.Bucket) error) {
	t.Helper()
	m.Stop()
	db, err := bbolt.Open(filepath.Join(m.Config.State, "index.db"), 0o600, nil)
	if err == nil {
		err = db.Update(func(tx *bbolt.Tx) error { return fn(tx.Bucket([]byte("log"))) })
	}
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	m.Start(t)
}

// sealed is a value as the index keeps it.
func sealed(key, content []byte) []byte {
	sum := crc32.Checksum(append(append([]byte("log\x00"), append(key, 0)...), content...), crc32.MakeTable(crc32.Castagnoli))
	return append(binary.BigEndian.AppendUint32(nil, sum), content...)
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// The chain is whole over restarts and failed commits, and continues every head that was kept.
func TestLogVerify(t *testing.T) {
	if record.KindTampered != audit.KindTampered {
		t.Fatal("tampering has no room of its own")
	}
	m := daemontest.New(t)
	var heads []string
	keep := func() {
		t.Helper()
		for _, h := range verified(t, m, "").Heads {
			heads = append(heads, fmt.Sprintf("%d:%s", h.Seq, h.Hash))
		}
	}
	for range 3 {
		events(t, m, audit.KindPublished, 3)
		events(t, m, audit.KindTampered, 2)
		keep()
		m.Stop()
		m.Start(t)
	}
	c := verified(t, m, "")
	if len(c.Faults) > 0 || c.Entries != 15 || c.Unchained != 0 || len(c.Heads) != 2 {
		t.Errorf("%+v", c)
	}
	for _, h := range heads {
		if c := verified(t, m, h); len(c.Faults) > 0 {
			t.Errorf("head %s: %v", h, c.Faults)
		}
	}
	other := strings.Replace(heads[0], ":", ":00", 1)[:len(heads[0])]
	if c := verified(t, m, other); len(c.Faults) != 1 {
		t.Errorf("another head: %v", c.Faults)
	}
	for _, wrong := range []string{"x", "1", "1:", "0:" + strings.Repeat("ab", 32), "1:" + strings.Repeat("00", 32), "-1:" + strings.Repeat("ab", 32)} {
		if _, err := m.LogVerify(t.Context(), wrong); err == nil {
			t.Errorf("%q is a head", wrong)
		}
	}
}

// Entries that the log dropped are told from those that somebody cut, also where entries come
// and go in one commit.
func TestLogVerifyPruned(t *testing.T) {
	m := daemontest.New(t)
	events(t, m, audit.KindPublished, 5)
	first := verified(t, m, "").Heads[0]
	err := m.Exec.Enter(t.Context(), "note", func(s *ledger.Ledger) error {
		for range state.MaxLog + 100 {
			s.Event(record.Event{Kind: audit.KindWithdrawn})
		}
		s.Record()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	c := verified(t, m, "")
	if len(c.Faults) > 0 || c.Entries != state.MaxLog || c.Heads[0].Dropped != 105 {
		t.Errorf("%d entries, %+v, %v", c.Entries, c.Heads, c.Faults)
	}
	if c := verified(t, m, fmt.Sprintf("%d:%s", first.Seq, first.Hash)); len(c.Faults) != 1 || !strings.Contains(c.Faults[0], "nobody can tell") {
		t.Errorf("a head that was dropped: %v", c.Faults)
	}
	events(t, m, audit.KindPublished, 3)
	m.Stop()
	m.Start(t)
	if c := verified(t, m, fmt.Sprintf("%d:%s", c.Heads[0].Seq, c.Heads[0].Hash)); len(c.Faults) > 0 || c.Heads[0].Dropped != 108 {
		t.Errorf("%+v, %v", c.Heads, c.Faults)
	}
	tamper(t, m, func(log *bbolt.Bucket) error { return log.Delete(number(109)) })
	if c := verified(t, m, ""); len(c.Faults) == 0 {
		t.Error("a cut is taken for a prune")
	}
}

// Entries that were cut, changed or moved are found.
func TestLogVerifyTampered(t *testing.T) {
	for what, change := range map[string]func(log *bbolt.Bucket) error{
		"cut in the middle": func(log *bbolt.Bucket) error { return log.Delete(number(3)) },
		"cut at the end":    func(log *bbolt.Bucket) error { return log.Delete(number(6)) },
		"cut at the start":  func(log *bbolt.Bucket) error { return log.Delete(number(1)) },
		"changed": func(log *bbolt.Bucket) error {
			v := strings.Replace(string(log.Get(number(4))[4:]), `"package":"3"`, `"package":"x"`, 1)
			return log.Put(number(4), sealed(number(4), []byte(v)))
		},
		"moved": func(log *bbolt.Bucket) error {
			a, b := string(log.Get(number(2))[4:]), string(log.Get(number(5))[4:])
			if err := log.Put(number(2), sealed(number(2), []byte(b))); err != nil {
				return err
			}
			return log.Put(number(5), sealed(number(5), []byte(a)))
		},
	} {
		m := daemontest.New(t)
		events(t, m, audit.KindPublished, 6)
		if c := verified(t, m, ""); len(c.Faults) > 0 {
			t.Fatal(c.Faults)
		}
		tamper(t, m, change)
		if c := verified(t, m, ""); len(c.Faults) == 0 {
			t.Errorf("%s: not found", what)
		}
		// It goes on: what is decided from now on is chained.
		events(t, m, audit.KindPublished, 2)
		before := verified(t, m, "")
		tamper(t, m, func(log *bbolt.Bucket) error { return log.Delete(number(before.Heads[0].Seq)) })
		if c := verified(t, m, ""); len(c.Faults) <= len(before.Faults) {
			t.Errorf("%s, and then cut at the end: %v", what, c.Faults)
		}
	}
}
