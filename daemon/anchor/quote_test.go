// SPDX-License-Identifier: Apache-2.0

package anchor_test

import (
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/attest"
	"github.com/digestd/digestd/daemon/daemontest"
)

const nonce = "0011223344556677"

// quoted verifies a quote of the machine's by what is known.
func (m *machine) quoted(t *testing.T, known *attest.Memory) attest.Result {
	t.Helper()
	q, err := m.AnchorQuote(t.Context(), nonce)
	if err != nil {
		t.Fatal(err)
	}
	r, err := attest.Verify([]byte(q), nonce, known)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestQuote: a quote says what was decided, by the word of the TPM and of the key that signs
// lists; without an anchor, or without the TPM, by that of the key.
func TestQuote(t *testing.T) {
	m := newMachine(t)
	r := m.quoted(t, nil)
	if len(r.Faults) > 0 || r.Key != "" || r.Machine == "" {
		t.Errorf("without an anchor: %+v", r)
	}
	if _, err := m.AnchorEnable(t.Context(), daemontest.Root, "", ""); err != nil {
		t.Fatal(err)
	}
	r = m.quoted(t, &r.Memory)
	if len(r.Faults) > 0 || r.Key == "" || r.Machine == "" || r.Value != m.AnchorStatus().Value {
		t.Errorf("with an anchor: %+v", r)
	}
	before := r
	m.Install(t, version(t, "1"))
	m.Sync(t)
	m.deny(t, "other<1")
	r = m.quoted(t, &before.Memory)
	s, was := r.Statement, before.Statement
	if len(r.Faults) > 0 || r.Value != before.Value+1 || s.Index.Commit <= was.Index.Commit || s.Index.Lists == was.Index.Lists || s.Policy != was.Policy ||
		len(s.Index.Log) == 0 || s.Anchor.Standing != api.AnchorDone {
		t.Errorf("%+v after %+v", r, before)
	}
	m.Config.Mode = "audit"
	m.again(t)
	if next := m.quoted(t, &r.Memory); len(next.Faults) > 0 || next.Statement.Policy == s.Policy {
		t.Errorf("another policy: %+v", next)
	}
	m.chip.Stop()
	if next := m.quoted(t, &r.Memory); len(next.Faults) != 1 || !strings.Contains(next.Faults[0], "the TPM did not sign") {
		t.Errorf("without the TPM: %q", next.Faults)
	}
	for _, wrong := range []string{"", "00", "x"} {
		if _, err := m.AnchorQuote(t.Context(), wrong); code(err) != api.InvalidArgument {
			t.Errorf("nonce %q: %v", wrong, err)
		}
	}
}

// TestWitness: where disk and TPM come back from one copy the machine cannot tell, and a
// verifier can.
func TestWitness(t *testing.T) {
	m, restore := copied(t)
	m.deny(t, "tool<1")
	known := m.quoted(t, nil)
	restore()
	m.standing(t, api.AnchorDone)
	r := m.quoted(t, &known.Memory)
	if !strings.Contains(strings.Join(r.Faults, "\n"), "the TPM was set back") {
		t.Errorf("faults %q", r.Faults)
	}
}
