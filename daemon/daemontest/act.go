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
		data, err = json.MarshalIndent([]any{lists, lines, s.Keys, s.Denied, s.Own, s.Order.Lists, s.Prefetch, s.NextSeq, len(s.Kept.Decisions) + len(s.Kept.Tampering)}, "", " ")
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
