// SPDX-License-Identifier: Apache-2.0

package anchor_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
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

// TestQuotesDoNotWear: however often a verifier asks, what is not urgent waits for its hour.
func TestQuotesDoNotWear(t *testing.T) {
	m := enabled(t)
	c := &counting{Chip: m.Anchor.Chip}
	m.Anchor.Chip = c
	known := m.quoted(t, nil)
	for version := range 3 {
		m.higher(t, version+1)
		r := m.quoted(t, &known.Memory)
		if len(r.Faults) > 0 || r.Statement.Anchor.Standing != api.AnchorPending {
			t.Errorf("%q, the anchor is %s", r.Faults, r.Statement.Anchor.Standing)
		}
	}
	if n := c.n.Load(); n != 0 {
		t.Errorf("%d increments", n)
	}
	m.deny(t, "tool<1")
	if r := m.quoted(t, &known.Memory); len(r.Faults) > 0 || r.Statement.Anchor.Standing != api.AnchorDone || c.n.Load() != 1 {
		t.Errorf("what is urgent: %q, %+v, %d increments", r.Faults, r.Statement.Anchor, c.n.Load())
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

// TestEndorsementPassword: with the password of the endorsement hierarchy the TPM signs quotes
// and answers challenges; without it, or with another, the error says what to do, and the
// counter is used all the same.
func TestEndorsementPassword(t *testing.T) {
	m := enabled(t)
	tpmtest.Do(t, m.chip.Socket, tpmtest.SetEndorsement("secret"))
	file := filepath.Join(m.dir, "password")
	write := func(text string, mode os.FileMode) {
		t.Helper()
		if err := errors.Join(os.WriteFile(file, []byte(text), mode), os.Chmod(file, mode)); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(what, want string) {
		t.Helper()
		if r := m.quoted(t, nil); r.Key != "" || r.Machine == "" {
			t.Errorf("%s: %+v", what, r)
		}
		if _, err := m.AnchorIdentity(t.Context()); err == nil || !strings.Contains(err.Error()+advice(err), want) {
			t.Errorf("%s: %v, %q", what, err, advice(err))
		}
		m.deny(t, "tool<"+strconv.Itoa(len(what)))
		m.pass(t)
		m.standing(t, api.AnchorDone)
	}
	refused("no password", "anchor-endorsement-password-file")
	m.Config.AnchorEndorsement = file
	m.again(t)
	refused("no file", "no such file")
	write("wrong", 0o600)
	refused("wrong", "anchor-endorsement-password-file")
	write("secret", 0o644)
	refused("readable by all", "chmod 600")
	write(strings.Repeat("s", 66), 0o600)
	refused("a password that is long", "larger")
	write("secret\n", 0o600)
	if r := m.quoted(t, nil); r.Key == "" || len(r.Faults) > 0 {
		t.Errorf("%+v", r)
	}
	id, err := m.AnchorIdentity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// No maker vouches for it: the verifier knows the key by its digest, which the error names.
	_, _, err = attest.Ask([]byte(id), attest.Trust{Endorsement: strings.Repeat("0", 64)}, nil, time.Now())
	digest := err.Error()[len(err.Error())-64:]
	c, memory, err := attest.Ask([]byte(id), attest.Trust{Endorsement: digest}, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	document, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := m.AnchorProve(t.Context(), document)
	if err == nil {
		_, err = attest.Enrol([]byte(proof), memory)
	}
	if err != nil {
		t.Error(err)
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
