// SPDX-License-Identifier: Apache-2.0

package anchor_test

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/attest"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/kernel/tpm/tpmtest"
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

// TestQuote: a quote says what was decided, signed by the TPM and by the key that signs
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

// TestQuoteDuringActs: decisions that are anchored while a quote is made do not make the quote
// state one epoch and certify a later one.
func TestQuoteDuringActs(t *testing.T) {
	m := enabled(t)
	ctx, cancel := context.WithCancel(t.Context())
	var acts sync.WaitGroup
	again := func(act func(n int) error) {
		acts.Go(func() {
			for n := 1; ctx.Err() == nil; n++ {
				if err := act(n); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	again(func(n int) error {
		_, err := m.Admin.Deny(t.Context(), daemontest.Root, "tool<"+strconv.Itoa(n), "", "test", "", time.Time{})
		return err
	})
	again(func(int) error { return m.Anchor.Pass(t.Context()) })
	for range 10 {
		if r := m.quoted(t, nil); len(r.Faults) > 0 {
			t.Errorf("faults %q", r.Faults)
			break
		}
	}
	cancel()
	acts.Wait()
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

// TestProve: a verifier enrols the machine by the certificate of its TPM, before the anchor is
// enabled or after that, and then believes its quotes from the first one on. A challenge for
// another TPM is refused.
func TestProve(t *testing.T) {
	m, maker := newMachine(t), tpmtest.NewMaker(t, "maker")
	tpmtest.Do(t, m.chip.Socket, maker.Endorse)
	challenge := func(m *machine) ([]byte, attest.Memory) {
		t.Helper()
		id, err := m.AnchorIdentity(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c, memory, err := attest.Ask([]byte(id), attest.Trust{Makers: maker.PEM()}, nil, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		document, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		return document, memory
	}
	c, memory := challenge(m)
	proof, err := m.AnchorProve(t.Context(), c)
	if err == nil {
		memory, err = attest.Enrol([]byte(proof), memory)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.AnchorEnable(t.Context(), daemontest.Root, "", ""); err != nil {
		t.Fatal(err)
	}
	if r := m.quoted(t, &memory); len(r.Faults) > 0 || r.Enrolment.By != attest.ByCertificate || r.Key != memory.Key {
		t.Errorf("%+v", r)
	}
	other := newMachine(t)
	tpmtest.Do(t, other.chip.Socket, maker.Endorse)
	c, _ = challenge(other)
	for _, wrong := range [][]byte{c, nil, []byte("{}"), make([]byte, attest.MaxIdentity+1)} {
		if proof, err := m.AnchorProve(t.Context(), wrong); code(err) != api.InvalidArgument {
			t.Errorf("%.80q was answered: %s, %v", wrong, proof, err)
		}
	}
	off := daemontest.New(t)
	if _, err := off.AnchorIdentity(t.Context()); advice(err) == "" {
		t.Errorf("without a TPM: %v", err)
	}
	if _, err := off.AnchorProve(t.Context(), c); advice(err) == "" {
		t.Errorf("without a TPM: %v", err)
	}
	m.chip.Stop()
	if _, err := m.AnchorIdentity(t.Context()); err == nil {
		t.Error("the TPM is away, and showed its keys")
	}
}
