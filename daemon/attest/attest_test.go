// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/attest"
	"github.com/digestd/digestd/integration/tokentest"
	"github.com/digestd/digestd/kernel/tpm"
	"github.com/digestd/digestd/kernel/tpm/tpmtest"
)

const nonce = "00112233445566778899"

// prover is a machine that states something of itself.
type prover struct {
	chip *tokentest.TPM
	c    tpm.Counter
	key  *ecdsa.PrivateKey
	cert []byte
	attest.Statement
}

func newProver(t *testing.T) *prover {
	t.Helper()
	p := &prover{chip: tokentest.NewTPM(t, filepath.Join(t.TempDir(), "tpm")), c: tpm.Counter{Index: 0x0181d1e5, Auth: tpm.NewSecret()}}
	mark := tpm.NewSecret()
	var err error
	if p.c.Name, err = tpm.CounterName(p.c.Index, mark); err != nil {
		t.Fatal(err)
	}
	tpmtest.Do(t, p.chip.Socket, func(c *tpm.Conn) error {
		if err := c.Define(nil, p.c.Index, p.c.Auth, mark); err != nil {
			return err
		}
		name, _, err := c.NameAt(p.c.Index, mark)
		if err == nil {
			err = c.IncrementCounter(tpm.Counter{Index: p.c.Index, Name: name, Auth: p.c.Auth})
		}
		if err == nil {
			p.Anchor.Epoch, err = c.ReadCounter(p.c)
		}
		return err
	})
	p.newKey(t)
	p.Format, p.Version, p.Nonce, p.When = attest.StatementFormat, attest.Version, nonce, time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	p.Anchor.Standing, p.Anchor.Counter = api.AnchorDone, hex.EncodeToString(p.c.Name)
	p.Index = attest.Index{Commit: 7, Log: []api.LogHead{{Room: "decisions", Seq: 3, Hash: "aa"}}}
	return p
}

// newKey gives the machine another key that signs lists.
func (p *prover) newKey(t *testing.T) {
	t.Helper()
	var err error
	if p.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err == nil {
		p.cert, err = x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{SerialNumber: big.NewInt(1)}, p.key.Public(), p.key)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (p *prover) rise(t *testing.T) {
	t.Helper()
	tpmtest.Do(t, p.chip.Socket, func(c *tpm.Conn) error { return c.IncrementCounter(p.c) })
	p.Anchor.Epoch++
	p.Index.Commit++
}

// quote signs the statement, as parts says: "t" by the TPM, "m" by the machine's key.
func (p *prover) quote(t *testing.T, parts string, change ...func(q *attest.Quote)) []byte {
	t.Helper()
	statement, err := json.Marshal(p.Statement)
	if err != nil {
		t.Fatal(err)
	}
	q := attest.Quote{Format: attest.QuoteFormat, Version: attest.Version, Statement: statement}
	digest := attest.Digest(statement)
	if strings.Contains(parts, "t") {
		tpmtest.Do(t, p.chip.Socket, func(c *tpm.Conn) error {
			cert, err := c.Certify(p.c, digest)
			q.TPM = &attest.TPM{Attest: cert.Attest, Signature: cert.Signature, Key: cert.Key}
			return err
		})
	}
	if strings.Contains(parts, "m") {
		sig, err := p.key.Sign(rand.Reader, digest, crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		q.Machine = &attest.Machine{Signature: sig, Certificate: p.cert}
	}
	for _, fn := range change {
		fn(&q)
	}
	data, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// good verifies a quote that has no fault.
func good(t *testing.T, quote []byte, known *attest.Memory) attest.Memory {
	t.Helper()
	r, err := attest.Verify(quote, nonce, known)
	if err != nil || len(r.Faults) > 0 {
		t.Fatalf("%v, %v", r.Faults, err)
	}
	return r.Memory
}

// bad verifies one that has a fault with that text.
func bad(t *testing.T, what string, quote []byte, known *attest.Memory, want string) {
	t.Helper()
	r, err := attest.Verify(quote, nonce, known)
	if err != nil || len(r.Faults) == 0 || !strings.Contains(strings.Join(r.Faults, "\n"), want) {
		t.Errorf("%s: %q, %v; want %q", what, r.Faults, err, want)
	}
}

// nothing verifies one that proves nothing.
func nothing(t *testing.T, what string, quote []byte, want string) {
	t.Helper()
	if r, err := attest.Verify(quote, nonce, nil); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %+v, %v; want %q", what, r, err, want)
	}
}

// A quote is good for its nonce and its keys, and continues what is known.
func TestGood(t *testing.T) {
	p := newProver(t)
	for _, parts := range []string{"tm", "t", "m"} {
		m := good(t, p.quote(t, parts), nil)
		data, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		known, err := attest.ReadMemory(data)
		if err != nil {
			t.Fatal(err)
		}
		good(t, p.quote(t, parts), &known)
		p.rise(t)
		next := good(t, p.quote(t, parts), &known)
		if strings.Contains(parts, "t") && (next.Value != known.Value+1 || next.Key != known.Key) {
			t.Errorf("%+v after %+v", next, known)
		}
	}
	// An index that crashed before the counter rose is one ahead.
	p.Anchor.Epoch++
	good(t, p.quote(t, "t"), nil)
}

// A quote that was changed, or has another nonce, proves nothing.
func TestForged(t *testing.T) {
	p := newProver(t)
	for _, parts := range []string{"tm", "t", "m"} {
		nothing(t, "statement changed", p.quote(t, parts, func(q *attest.Quote) { q.Statement = append(q.Statement, ' ') }), "cannot verify")
		nothing(t, "statement changed", p.quote(t, parts, func(q *attest.Quote) {
			q.Statement = bytes.Replace(q.Statement, []byte(`"commit":`), []byte(`"commit":1`), 1)
		}), "cannot verify")
	}
	nothing(t, "nobody signed", p.quote(t, ""), "nobody signed")
	nothing(t, "no document", []byte("{}"), "no document")
	nothing(t, "two documents", append(p.quote(t, "m"), p.quote(t, "m")...), "no document")
	nothing(t, "another form", p.quote(t, "m", func(q *attest.Quote) { q.Version = 2 }), "no document")
	nothing(t, "too large", bytes.Repeat([]byte(" "), attest.MaxQuote+1), "larger")
	nothing(t, "no certificate", p.quote(t, "m", func(q *attest.Quote) { q.Machine.Certificate = []byte{1} }), "certificate")
	nothing(t, "no key", p.quote(t, "t", func(q *attest.Quote) { q.TPM.Key = []byte{1} }), "key")
	other := newProver(t)
	nothing(t, "another's key", p.quote(t, "m", func(q *attest.Quote) { q.Machine.Certificate = other.cert }), "did not sign")
	p.Nonce = "ffffffffffffffff"
	nothing(t, "another nonce", p.quote(t, "tm"), "another nonce")
}

// A proved fact that differs from the remembered one is a fault.
func TestFaults(t *testing.T) {
	p := newProver(t)
	p.rise(t)
	known := good(t, p.quote(t, "tm"), nil)
	was := p.Statement
	with := func(what, want string, change func()) {
		t.Helper()
		p.Statement = was
		change()
		bad(t, what, p.quote(t, "tm"), &known, want)
		p.Statement = was
	}
	with("an older state", "older than what was decided", func() { p.Anchor.Standing, p.Anchor.Epoch = api.AnchorOlder, was.Anchor.Epoch-1 })
	with("another epoch", "the index is of epoch", func() { p.Anchor.Epoch += 5 })
	with("bound to another counter", "another counter than the one", func() { p.Anchor.Counter = "aa" })
	with("fewer commits", "the index fell", func() { p.Index.Commit = 1 })
	with("a shorter log", "does not continue", func() { p.Index.Log = []api.LogHead{{Room: "decisions", Seq: 2, Hash: "aa"}} })
	with("no log", "does not continue", func() { p.Index.Log = nil })
	with("another log", "does not continue", func() { p.Index.Log = []api.LogHead{{Room: "decisions", Seq: 3, Hash: "bb"}} })
	with("from before", "the statement is from", func() { p.When = p.When.Add(-time.Hour) })
	bad(t, "without the TPM", p.quote(t, "m"), &known, "the TPM did not sign")
	later := known
	later.Value++
	bad(t, "the TPM was set back", p.quote(t, "tm"), &later, "the TPM was set back")
	p.newKey(t)
	bad(t, "another key for lists", p.quote(t, "tm"), &known, "another key signs lists")
	other := newProver(t)
	bad(t, "another TPM", other.quote(t, "tm"), &known, "another TPM signed")
	p.Statement = was
	for standing, want := range map[string]string{api.AnchorOlder: "older than what was decided", api.AnchorOther: "another counter"} {
		p.Anchor.Standing = standing
		bad(t, "the TPM did not sign, the anchor is "+standing, p.quote(t, "m"), nil, want)
		p.Anchor.Standing = was.Anchor.Standing
	}
	mine := good(t, p.quote(t, "m"), nil)
	bad(t, "only the machine's key, and another", other.quote(t, "m"), &mine, "another key signs lists")
	bad(t, "not the machine's key", p.quote(t, "t"), &mine, "did not sign")
}

func TestNonces(t *testing.T) {
	for text, ok := range map[string]bool{
		nonce: true, "0011223344556677": true, "00112233445566": false, "": false, "zz": false, strings.Repeat("ab", 64): true, strings.Repeat("ab", 65): false,
	} {
		if err := attest.CheckNonce(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"", "{}", `{"format":"digestd-witness","version":1}`, `{"format":"digestd-witness","version":2,"key":"a"}`} {
		if _, err := attest.ReadMemory([]byte(text)); err == nil {
			t.Errorf("%q is remembered", text)
		}
	}
}

// FuzzVerify: no quote makes a verifier panic, and none that nobody signed is good.
func FuzzVerify(f *testing.F) {
	f.Add([]byte(`{"format":"digestd-quote","version":1,"statement":"e30=","tpm":{"attest":"","signature":"","key":""}}`))
	f.Add([]byte(`{"format":"digestd-quote","version":1,"statement":"eyJmb3JtYXQiOiJkaWdlc3RkLXN0YXRlbWVudCIsInZlcnNpb24iOjEsIm5vbmNlIjoiMDAifQ==","tpm":{"attest":"/1RDR4AU","signature":"ABg=","key":"ACMACw=="}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := attest.Verify(data, "00", nil); err == nil && r.Key == "" && r.Machine == "" {
			t.Errorf("nobody signed, and it verifies: %+v", r)
		}
	})
}
