// SPDX-License-Identifier: Apache-2.0

package daemon_test

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store/record"
)

// TestNothingIsToldBeforeItIsDurable: who listens hears of what is on disk.
func TestNothingIsToldBeforeItIsDurable(t *testing.T) {
	m := daemontest.New(t)
	var told daemontest.Heard
	if err := m.Observe(t.Context(), &told); err != nil {
		t.Fatal(err)
	}
	commit := func(tampered string) error {
		return m.Exec.Enter(t.Context(), "test", func(s *ledger.Ledger) error {
			s.Tampered(tampered, record.Digest{}, "test")
			s.Record()
			return nil
		})
	}
	let := m.StopCommits(t)
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
	m := daemontest.New(t)
	sum := sha256.Sum256([]byte("content"))
	body, err := digestlist.AppendTLV(nil, []digestlist.Group{{Algo: digestlist.SHA256, Entries: []digestlist.Entry{{Digest: sum[:], Path: "/opt/own"}}}})
	if err == nil {
		err = os.Mkdir(filepath.Join(m.Config.State, ledger.OwnDir), 0o700)
	}
	keep := filepath.Join(m.Config.State, ledger.OwnDir, "upload")
	if err == nil {
		err = os.WriteFile(keep, body, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	own := &ledger.OwnCandidate{Record: record.Own{Name: "mine", Body: sha256.Sum256(body)}, Keep: keep}
	if own.Made, err = m.MakeOwn(m.Dir.Stager("test"), body); err != nil {
		t.Fatal(err)
	}
	memory, durable := m.Memory(t), m.Durable(t)
	if err := os.Remove(m.Config.Lists); err != nil {
		t.Fatal(err)
	}
	err = m.Exec.Decide(t.Context(), "own", func(s *ledger.Ledger) error {
		_, _, err := s.PublishOwn(own, api.Actor{})
		return err
	})
	if err == nil {
		t.Fatal("published into a directory that is gone")
	}
	if events := m.Events(t); len(events) != 2 || events[0].Kind != "published" || events[1].Kind != "withdrawn" {
		t.Errorf("the log has %+v", events)
	}
	m.Exec.Enter(t.Context(), "test", func(s *ledger.Ledger) error {
		s.NextSeq, s.Kept = 1, state.LogRooms{} // which Memory has, and the log keeps
		return nil
	})
	if now := m.Memory(t); now != memory {
		t.Errorf("memory is\n%s\nand was\n%s", now, memory)
	}
	m.Stop()
	m.Start(t)
	if now, lines := m.Durable(t), len(m.Snapshot().Lines); len(m.Snapshot().Own) > 0 || len(m.Snapshot().Entries) > 0 || lines > 1 {
		t.Errorf("the index has\n%s\nand had\n%s", now, durable)
	}
	if left, err := os.ReadDir(filepath.Join(m.Config.State, ledger.OwnDir)); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}
