// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"bytes"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/attest"
	"github.com/digestd/digestd/kernel/tpm"
	"github.com/digestd/digestd/kernel/tpm/tpmtest"
)

// document returns v as JSON.
func document(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// identity is what the machine shows, as change has it.
func (p *prover) identity(t *testing.T, change ...func(id *attest.Identity)) []byte {
	t.Helper()
	var id tpm.Identity
	tpmtest.Do(t, p.chip.Socket, func(c *tpm.Conn) (err error) {
		id, err = c.Identity()
		return err
	})
	shown := attest.NewIdentity(id)
	for _, fn := range change {
		fn(&shown)
	}
	return document(t, shown)
}

// prove has the TPM answer a challenge.
func (p *prover) prove(t *testing.T, challenge attest.Challenge) ([]byte, error) {
	t.Helper()
	c, err := attest.ReadChallenge(document(t, challenge))
	if err != nil {
		t.Fatal(err)
	}
	var secret []byte
	tpmtest.Do(t, p.chip.Socket, func(conn *tpm.Conn) error {
		secret, err = conn.Activate(c)
		return nil
	})
	return document(t, attest.NewProof(secret)), err
}

// remembered is a memory after it was written and read.
func remembered(t *testing.T, m attest.Memory) *attest.Memory {
	t.Helper()
	known, err := attest.ReadMemory(document(t, m))
	if err != nil {
		t.Fatal(err)
	}
	return &known
}

// TestEnrol: a TPM proves that it has the attestation key, by the word of its maker or by an
// endorsement key that the verifier knows. Quotes are then believed from the first one on.
func TestEnrol(t *testing.T) {
	p, other, now := newProver(t), newProver(t), time.Now()
	maker := tpmtest.NewMaker(t, "maker")
	tpmtest.Do(t, p.chip.Socket, maker.Endorse)
	known := func(by string, trust attest.Trust) attest.Memory {
		t.Helper()
		challenge, m, err := attest.Ask(p.identity(t), trust, nil, now)
		if err != nil {
			t.Fatal(err)
		}
		pending := remembered(t, m)
		if _, err := attest.Verify(p.quote(t, "tm"), nonce, pending); err == nil || !strings.Contains(err.Error(), "not answered the challenge") {
			t.Errorf("before the answer: %v", err)
		}
		if proof, err := other.prove(t, challenge); !errors.Is(err, tpm.ErrCredential) {
			t.Errorf("another TPM answered: %s, %v", proof, err)
		}
		if _, err := attest.Enrol(document(t, attest.NewProof(make([]byte, 32))), *pending); !errors.Is(err, attest.ErrUnproven) {
			t.Errorf("a guess: %v", err)
		}
		proof, err := p.prove(t, challenge)
		if err != nil {
			t.Fatal(err)
		}
		m, err = attest.Enrol(proof, *pending)
		if err != nil {
			t.Fatal(err)
		}
		if e := m.Enrolment; e.By != by || len(e.Endorsement) != 64 || (by == attest.ByCertificate) != (e.Maker == "CN=maker") {
			t.Errorf("%+v", e)
		}
		if _, err := attest.Enrol(proof, m); err == nil {
			t.Error("a proof is good twice")
		}
		return *remembered(t, m)
	}
	m := known(attest.ByCertificate, attest.Trust{Makers: maker.PEM()})
	known(attest.ByEndorsement, attest.Trust{Endorsement: strings.ToUpper(m.Enrolment.Endorsement)})
	bad(t, "another TPM signs", other.quote(t, "tm"), &m, "another TPM signed")
	bad(t, "the TPM does not sign", p.quote(t, "m"), &m, "the TPM did not sign")
	r, err := attest.Verify(p.quote(t, "t"), nonce, &m)
	if err != nil || len(r.Faults) > 0 || r.Enrolment != *m.Enrolment {
		t.Fatalf("%+v, %v", r, err)
	}
	p.rise(t)
	next := good(t, p.quote(t, "tm"), remembered(t, r.Memory))
	if next.Enrolment == nil || next.Machine == "" {
		t.Errorf("%+v", next)
	}
	// The key that signs lists is not forgotten by a quote without it.
	only := good(t, p.quote(t, "t"), &next)
	p.newKey(t)
	bad(t, "another key for lists", p.quote(t, "tm"), &only, "another key signs lists")
}

// TestEnrolLater: a machine whose keys were believed at the first use is enrolled by the same
// key only.
func TestEnrolLater(t *testing.T) {
	p, other, now := newProver(t), newProver(t), time.Now()
	r, err := attest.Verify(p.quote(t, "tm"), nonce, nil)
	if err != nil || r.Enrolment.By != attest.ByFirstUse {
		t.Fatalf("%+v, %v", r, err)
	}
	maker := tpmtest.NewMaker(t, "maker")
	for _, each := range []*prover{p, other} {
		tpmtest.Do(t, each.chip.Socket, maker.Endorse)
	}
	trust := attest.Trust{Makers: maker.PEM()}
	if _, _, err := attest.Ask(other.identity(t), trust, &r.Memory, now); err == nil || !strings.Contains(err.Error(), "another attestation key") {
		t.Errorf("another machine: %v", err)
	}
	challenge, m, err := attest.Ask(p.identity(t), trust, &r.Memory, now)
	if err != nil {
		t.Fatal(err)
	}
	// A quote meanwhile changes nothing.
	p.rise(t)
	m = good(t, p.quote(t, "tm"), remembered(t, m))
	proof, err := p.prove(t, challenge)
	if err == nil {
		m, err = attest.Enrol(proof, *remembered(t, m))
	}
	if err != nil || m.Enrolment.By != attest.ByCertificate || m.Value != r.Value+1 || m.Machine != r.Machine {
		t.Errorf("%+v, %v", m, err)
	}
}

// TestNotBelieved: whom nobody vouches for gets no challenge.
func TestNotBelieved(t *testing.T) {
	p, now := newProver(t), time.Now()
	maker, stranger := tpmtest.NewMaker(t, "maker"), tpmtest.NewMaker(t, "stranger")
	refused := func(what, want string, identity []byte, trust attest.Trust, at time.Time) {
		t.Helper()
		if _, _, err := attest.Ask(identity, trust, nil, at); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", what, err, want)
		}
	}
	makers := attest.Trust{Makers: maker.PEM()}
	refused("no certificate", "has no certificate of its maker; the SHA-256", p.identity(t), makers, now)
	refused("another endorsement key", "the SHA-256 of its endorsement key is", p.identity(t), attest.Trust{Endorsement: strings.Repeat("ab", 32)}, now)
	tpmtest.Do(t, p.chip.Socket, maker.Endorse)
	good := p.identity(t)
	refused("another maker", "none of the makers", good, attest.Trust{Makers: stranger.PEM()}, now)
	refused("no maker", "has no certificate", good, attest.Trust{}, now)
	refused("a maker that cannot be read", "cannot be read", good, attest.Trust{Makers: bytes.Replace(maker.PEM(), []byte("MII"), []byte("MIA"), 1)}, now)
	refused("years later", "none of the makers", good, makers, now.AddDate(3, 0, 0))
	shown := func(purpose asn1.ObjectIdentifier) []byte {
		return p.identity(t, func(id *attest.Identity) {
			var err error
			if id.Certificate, err = maker.Certificate(id.Endorsement, purpose); err != nil {
				t.Fatal(err)
			}
		})
	}
	refused("a key for something else", "not one of an endorsement key", shown(asn1.ObjectIdentifier{2, 23, 133, 8, 3}), makers, now)
	if _, _, err := attest.Ask(shown(tpmtest.EKCertificate), makers, nil, now); err != nil {
		t.Error(err)
	}
	refused("a certificate of another key", "one of another key", newProver(t).identity(t, func(id *attest.Identity) {
		var mine attest.Identity
		if err := json.Unmarshal(good, &mine); err != nil {
			t.Fatal(err)
		}
		id.Certificate = mine.Certificate
	}), makers, now)
	refused("no certificate at all", "cannot be read", p.identity(t, func(id *attest.Identity) { id.Certificate = []byte{1} }), makers, now)
	refused("no key", "cannot", p.identity(t, func(id *attest.Identity) { id.Endorsement = nil }), makers, now)
	refused("a key that signs anything", "attestation key", p.identity(t, func(id *attest.Identity) { id.Attestation = id.Endorsement }), makers, now)
	refused("another form", "no document", p.identity(t, func(id *attest.Identity) { id.Version = 2 }), makers, now)
	refused("nothing", "no document", nil, makers, now)
	refused("too large", "larger", make([]byte, attest.MaxIdentity+1), makers, now)
	for _, data := range []string{"", "{}", `{"format":"digestd-challenge","version":2}`} {
		if c, err := attest.ReadChallenge([]byte(data)); err == nil {
			t.Errorf("%q is a challenge: %+v", data, c)
		}
		if m, err := attest.Enrol([]byte(data), attest.Memory{Pending: &attest.Pending{}}); err == nil {
			t.Errorf("%q is a proof: %+v", data, m)
		}
	}
	if m, err := attest.Enrol(document(t, attest.NewProof(nil)), attest.Memory{Pending: &attest.Pending{}}); err == nil {
		t.Errorf("a challenge without a secret was answered: %+v", m)
	}
}

// FuzzAsk: no identity makes a verifier panic, and none is believed by the word of nobody.
func FuzzAsk(f *testing.F) {
	area := slices.Concat([]byte{0, 0x23, 0, 0x0b, 0, 3, 0, 0xb2, 0, 0x20}, make([]byte, 32))
	f.Add(area, []byte{0x30, 0}, area, []byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, endorsement, certificate, attestation, makers []byte) {
		id := document(t, attest.Identity{Format: attest.IdentityFormat, Version: 1, Endorsement: endorsement, Certificate: certificate, Attestation: attestation})
		if _, m, err := attest.Ask(id, attest.Trust{Makers: makers}, nil, time.Unix(1, 0)); err == nil && m.Pending.Enrolment.Maker == "" {
			t.Errorf("%+v", m)
		}
	})
}
