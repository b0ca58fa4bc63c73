// SPDX-License-Identifier: Apache-2.0

package daemontest

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/store/record"
)

// Quiet is for callers that follow no progress.
func Quiet(string, int, int) {}

// Code is the code of the error that an act was answered with, "" for success.
func Code(err error) api.Code {
	var e *api.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Code
	}
	return api.Failed
}

// Enter enters a fact and records it.
func (m *Machine) Enter(t testing.TB, fact func(s *ledger.Ledger)) {
	t.Helper()
	if err := m.Exec.Enter(t.Context(), "test", func(s *ledger.Ledger) error {
		fact(s)
		s.Record()
		s.Show()
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// Commit commits, whether or not anything waits for it.
func (m *Machine) Commit(t testing.TB) {
	t.Helper()
	if err := m.Exec.Decide(t.Context(), "test", (*ledger.Ledger).Probe); err != nil {
		t.Fatal(err)
	}
}

// Events are the entries of the log, the oldest first, of some kinds or of all.
func (m *Machine) Events(t testing.TB, kinds ...string) (found []record.Event) {
	t.Helper()
	all, err := m.Index.EventsAfter(0, state.MaxWaiting)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if len(kinds) == 0 || slices.Contains(kinds, e.Kind) {
			found = append(found, e)
		}
	}
	return found
}

// Memory is all that acts change in memory, as text to compare.
func (m *Machine) Memory(t testing.TB) string {
	t.Helper()
	var data []byte
	err := m.Exec.Enter(t.Context(), "test", func(s *ledger.Ledger) (err error) {
		lists := []record.List{}
		for _, e := range s.Sorted() {
			lists = append(lists, e.List)
		}
		lines := map[string]record.Line{}
		for id, l := range s.Lines {
			lines[id.String()] = l
		}
		data, err = json.MarshalIndent([]any{lists, lines, s.Keys, s.Denied, s.Policed.Policies, s.Floors, s.Own, s.Order.Lists, s.Prefetch, s.NextSeq, len(s.Kept.Decisions) + len(s.Kept.Tampering)}, "", " ")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Durable is all that the index has, but for its own numbers and the log, as text to
// compare.
func (m *Machine) Durable(t testing.TB) string {
	t.Helper()
	c, err := m.Index.Load()
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

// Heard is an observer that remembers what it was told, but for Changed.
type Heard []string

func (h *Heard) ListPublished(list, _ string)         { *h = append(*h, "published "+list) }
func (h *Heard) ListWithdrawn(list, _, _ string)      { *h = append(*h, "withdrawn "+list) }
func (h *Heard) RollbackRefused(pkg, _ string)        { *h = append(*h, "refused "+pkg) }
func (h *Heard) TamperDetected(name, _ string)        { *h = append(*h, "tampered "+name) }
func (h *Heard) TransactionFinished(uint32, uint32)   { *h = append(*h, "finished") }
func (h *Heard) KeyRevoked(key, _ string, _ uint32)   { *h = append(*h, "revoked "+key) }
func (h *Heard) Changed()                             {}
func (h *Heard) Denied(id, _, _ string)               { *h = append(*h, "denied "+id) }
func (h *Heard) DenialLifted(id, _, _ string)         { *h = append(*h, "lifted "+id) }
func (h *Heard) VerificationFinished(_ string, _ int) { *h = append(*h, "verified") }

// ActFailsWhole checks an act that can be done now: if it cannot be recorded, it is answered
// with an error and has not happened. Neither memory nor the next commit nor a start has a
// trace of it, nobody hears of it, the directory is as it was, and status has a problem. As
// soon as it can be recorded, the same act has an effect.
func (m *Machine) ActFailsWhole(t testing.TB, act func() error) {
	t.Helper()
	m.Commit(t)
	var told Heard
	if err := m.Observe(t.Context(), &told); err != nil {
		t.Fatal(err)
	}
	told = nil
	lists, memory, durable := m.Names(t), m.Memory(t), m.Durable(t)
	let := m.StopCommits(t)
	if err := act(); err == nil {
		t.Fatal("it succeeded without a record")
	}
	if m.Snapshot().Problems == nil {
		t.Error("status has no problem to tell")
	}
	let()
	if now := m.Memory(t); now != memory {
		t.Errorf("memory is\n%s\nand was\n%s", now, memory)
	}
	m.Commit(t)
	if now := m.Durable(t); now != durable {
		t.Errorf("with the next commit the index has\n%s\nand had\n%s", now, durable)
	}
	if now := m.Names(t); !slices.Equal(now, lists) {
		t.Errorf("the directory has %v, and had %v", now, lists)
	}
	if len(told) > 0 {
		t.Errorf("somebody heard of it: %v", told)
	}
	m.Stop()
	m.Start(t)
	if now := m.Durable(t); now != durable {
		t.Errorf("after a restart the index has\n%s\nand had\n%s", now, durable)
	}
	if err := act(); err != nil {
		t.Errorf("again: %v", err)
	}
	if now := m.Durable(t); now == durable {
		t.Error("the act has no effect")
	}
}
