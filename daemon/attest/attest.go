// SPDX-License-Identifier: Apache-2.0

// Package attest makes and verifies the statement of a machine about itself: the epoch of its
// index, the settings that decide, the head of its log, and the mode of the guard. The TPM
// signs the statement together with the value of the counter, and the key that signs lists
// signs it as well; where there is no anchor, only that key does.
//
// A verifier needs no TPM and no network. It knows the keys of a machine from a challenge (see
// [Ask]), or from the first statement that it accepted.
package attest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"crypto"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/kernel/tpm"
)

// The forms of the documents.
const (
	StatementFormat = "digestd-statement"
	QuoteFormat     = "digestd-quote"
	MemoryFormat    = "digestd-witness"
	Version         = 1
)

// Sizes of a nonce, in bytes.
const (
	LeastNonce = 8
	MostNonce  = 64
)

// MaxQuote bounds a quote, in bytes.
const MaxQuote = 64 << 10

// Statement is what a machine states about itself.
type Statement struct {
	Format  string    `json:"format"`  // always digestd-statement
	Version int       `json:"version"` // 1
	Nonce   string    `json:"nonce"`   // of the verifier, hexadecimal
	When    time.Time `json:"when"`    // time of the machine's clock
	Digestd string    `json:"digestd"` // its version

	Anchor api.Anchor `json:"anchor"` // how the index compares with the counter
	Policy string     `json:"policy"` // SHA-256 of the settings that decide which lists exist
	Index  Index      `json:"index"`
	Guard  Guard      `json:"guard"`
}

// Index describes the state of the index.
type Index struct {
	Commit uint64        `json:"commit,omitzero"` // number of the latest commit
	Log    []api.LogHead `json:"log"`             // the heads of the log's hash chains
	Lists  string        `json:"lists"`           // SHA-256 over the names and bodies of active lists
}

// Guard describes the guard in the kernel.
type Guard struct {
	Wanted  string               `json:"wanted"`           // mode in the configuration
	Mode    string               `json:"mode"`             // off, audit, enforce, unknown
	Modules string               `json:"modules,omitzero"` // the mode for kernel modules
	Commit  uint64               `json:"commit,omitzero"`  // commit of the index that its digests reflect
	Digests int                  `json:"digests"`          // contents that may run
	Exempt  []api.GuardExemption `json:"exempt,omitzero"`  // cgroups whose containers may run files that no list has
	More    int                  `json:"more,omitzero"`    // number of further such cgroups
}

// Quote is a statement with its signatures.
type Quote struct {
	Format    string   `json:"format"`           // always digestd-quote
	Version   int      `json:"version"`          // 1
	Statement []byte   `json:"statement"`        // JSON, exactly as it was signed
	TPM       *TPM     `json:"tpm,omitzero"`     // absent without an anchor, or if its TPM does not answer
	Machine   *Machine `json:"machine,omitzero"` // absent if the key that signs lists cannot be used
}

// TPM is the signature of the TPM.
type TPM struct {
	Attest    []byte `json:"attest"`    // TPMS_ATTEST of the counter, which covers the statement
	Signature []byte `json:"signature"` // TPMT_SIGNATURE
	Key       []byte `json:"key"`       // TPMT_PUBLIC of the attestation key
}

// Machine is the signature of the key that signs lists.
type Machine struct {
	Signature   []byte `json:"signature"`
	Certificate []byte `json:"certificate"` // DER
}

// Digest returns the digest of a statement that the keys sign. No other message that these keys
// sign has it.
func Digest(statement []byte) []byte {
	sum := sha256.Sum256(append([]byte("digestd statement 1\n"), statement...))
	return sum[:]
}

// CheckNonce returns an error if a nonce is not hexadecimal, too short, or too long.
func CheckNonce(nonce string) error {
	b, err := hex.DecodeString(nonce)
	if err != nil || len(b) < LeastNonce || len(b) > MostNonce {
		return fmt.Errorf("nonce %.80q: want %d to %d bytes as hexadecimal digits", nonce, LeastNonce, MostNonce)
	}
	return nil
}

// Memory is what a verifier keeps about a machine between two quotes.
type Memory struct {
	Format  string        `json:"format"`           // always digestd-witness
	Version int           `json:"version"`          // 1
	Key     string        `json:"key,omitzero"`     // name of the TPM's attestation key, hexadecimal
	Machine string        `json:"machine,omitzero"` // SHA-256 of the public key that signs lists, hexadecimal
	Counter string        `json:"counter,omitzero"` // name of the counter
	Value   uint64        `json:"value,omitzero"`   // of the counter
	Commit  uint64        `json:"commit,omitzero"`  // of the index
	Log     []api.LogHead `json:"log,omitzero"`     // heads of the log
	When    time.Time     `json:"when,omitzero"`    // of the statement
	Policy  string        `json:"policy,omitzero"`  // of the statement

	Enrolment *Enrolment `json:"enrolment,omitzero"` // how the verifier learned the attestation key; absent: from the first quote
	Pending   *Pending   `json:"pending,omitzero"`   // a challenge that the machine has not answered yet
}

// Result is what a quote proves.
type Result struct {
	Statement Statement `json:"statement"`
	Key       string    `json:"key,omitzero"`     // name of the TPM's attestation key, hexadecimal
	Machine   string    `json:"machine,omitzero"` // SHA-256 of the public key that signs lists
	Value     uint64    `json:"value,omitzero"`   // value of the counter, signed by the TPM
	Enrolment Enrolment `json:"enrolment"`        // how the verifier learned the keys
	Faults    []string  `json:"faults"`           // reasons not to trust the machine, or its state
	Memory    Memory    `json:"-"`                // to keep for the next quote
}

// errNothing means that a quote has no signature.
var errNothing = errors.New("cannot verify the quote: nobody signed it")

// errUnanswered means that the verifier waits for the answer to a challenge.
var errUnanswered = errors.New("cannot verify the quote: the machine has not answered the challenge yet")

// Verify verifies a quote against the nonce. An error means that the quote proves nothing. The
// faults of the result name what contradicts the verifier's memory, known. At the first use
// known is nil, and any key is accepted.
func Verify(quote []byte, nonce string, known *Memory) (Result, error) {
	var q Quote
	if len(quote) > MaxQuote {
		return Result{}, fmt.Errorf("cannot verify the quote: it is larger than %d bytes", MaxQuote)
	}
	if err := decode(quote, &q); err != nil || q.Format != QuoteFormat || q.Version != Version {
		return Result{}, fmt.Errorf("cannot verify the quote: it is no document of the form %s %d", QuoteFormat, Version)
	}
	if known != nil && known.Key == "" && known.Machine == "" {
		return Result{}, errUnanswered
	}
	r := Result{Faults: []string{}}
	s := &r.Statement
	if err := decode(q.Statement, s); err != nil || s.Format != StatementFormat || s.Version != Version {
		return Result{}, fmt.Errorf("cannot verify the quote: its statement is no document of the form %s %d", StatementFormat, Version)
	}
	if s.Nonce != nonce {
		return Result{}, errors.New("cannot verify the quote: it was made for another nonce, so it may be an old one")
	}
	if q.TPM == nil && q.Machine == nil {
		return Result{}, errNothing
	}
	digest := Digest(q.Statement)
	m := Memory{Format: MemoryFormat, Version: Version, When: s.When, Commit: s.Index.Commit, Log: s.Index.Log, Policy: s.Policy}
	if q.TPM != nil {
		c, err := tpm.Certificate{Attest: q.TPM.Attest, Signature: q.TPM.Signature, Key: q.TPM.Key}.Verify(digest)
		if err != nil {
			return Result{}, err
		}
		name, err := tpm.KeyName(q.TPM.Key)
		if err != nil {
			return Result{}, err
		}
		r.Key, r.Value = hex.EncodeToString(name), c.Value
		m.Key, m.Counter, m.Value = r.Key, hex.EncodeToString(c.Name), c.Value
		r.counter(hex.EncodeToString(c.Name))
	} else {
		r.doubt()
	}
	if q.Machine != nil {
		key, err := machine(q.Machine, digest)
		if err != nil {
			return Result{}, err
		}
		r.Machine, m.Machine = key, key
	}
	if known != nil {
		r.compare(*known, &m)
	}
	r.Enrolment = Enrolment{By: ByFirstUse}
	if m.Enrolment != nil {
		r.Enrolment = *m.Enrolment
	}
	r.Memory = m
	return r, nil
}

func (r *Result) fault(format string, args ...any) {
	r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
}

// counter compares the counter in the statement with the value that the TPM signed.
func (r *Result) counter(name string) {
	a := r.Statement.Anchor
	switch {
	case a.Standing == api.AnchorOlder:
		r.fault("the state directory is older than what was decided: it is of epoch %d, and the counter is at %d", a.Epoch, r.Value)
	case a.Counter != name:
		r.fault("the index is bound to another counter than the one that the TPM certified")
	case a.Epoch != r.Value && a.Epoch != r.Value+1:
		r.fault("the index is of epoch %d, and the counter is at %d", a.Epoch, r.Value)
	}
}

// doubt repeats the doubts that the statement has about the counter, if the TPM did not sign.
func (r *Result) doubt() {
	switch r.Statement.Anchor.Standing {
	case api.AnchorOlder:
		r.fault("the state directory is older than what was decided: it is of epoch %d", r.Statement.Anchor.Epoch)
	case api.AnchorOther:
		r.fault("the index is bound to another counter than the one in the TPM, if there is one")
	}
}

// compare compares the quote with the verifier's memory. Remembered keys must have signed.
func (r *Result) compare(known Memory, m *Memory) {
	m.Enrolment, m.Pending = known.Enrolment, known.Pending
	if r.Machine == "" {
		m.Machine = known.Machine
	}
	switch {
	case known.Key != "" && r.Key == "":
		r.fault("the TPM did not sign, and it did before")
		m.Key, m.Counter, m.Value = known.Key, known.Counter, known.Value
	case known.Key != "" && r.Key != known.Key:
		r.fault("another TPM signed: its attestation key is %s, and was %s", r.Key, known.Key)
	}
	if known.Machine != "" && r.Machine != "" && r.Machine != known.Machine {
		r.fault("another key signs lists: %s, which was %s", r.Machine, known.Machine)
	}
	if known.Key == "" && known.Machine != "" && r.Machine == "" {
		r.fault("the key that signs lists did not sign, and it did before")
	}
	switch {
	case r.Key == "" || known.Key == "":
	case known.Counter == "": // the key was enrolled, and this is the first quote
	case known.Counter != m.Counter:
		r.fault("the machine has another counter than before: it was bound anew")
	case m.Value < known.Value:
		r.fault("the counter fell from %d to %d: the TPM was set back", known.Value, m.Value)
	}
	if m.Commit < known.Commit {
		r.fault("the index fell from commit %d to %d", known.Commit, m.Commit)
	}
	for _, was := range known.Log {
		// A chain without an entry has no head.
		var is api.LogHead
		if i := slices.IndexFunc(m.Log, func(h api.LogHead) bool { return h.Room == was.Room }); i >= 0 {
			is = m.Log[i]
		}
		if is.Seq < was.Seq || is.Seq == was.Seq && is.Hash != was.Hash {
			r.fault("the log of %s does not continue the one that is known: it ended with entry %d, and ends with entry %d", was.Room, was.Seq, is.Seq)
		}
	}
	if m.When.Before(known.When) {
		r.fault("the statement is from %s, and one from %s is known", m.When.UTC().Format(time.RFC3339), known.When.UTC().Format(time.RFC3339))
	}
}

// machine verifies the signature of the key that signs lists, and returns the SHA-256 digest of
// its public key.
func machine(m *Machine, digest []byte) (string, error) {
	cert, err := x509.ParseCertificate(m.Certificate)
	if err != nil {
		return "", fmt.Errorf("cannot verify the quote: its certificate cannot be read: %w", err)
	}
	ok := false
	switch key := cert.PublicKey.(type) {
	case *ecdsa.PublicKey:
		ok = ecdsa.VerifyASN1(key, digest, m.Signature)
	case *rsa.PublicKey:
		ok = rsa.VerifyPKCS1v15(key, crypto.SHA256, digest, m.Signature) == nil
	}
	if !ok {
		return "", errors.New("cannot verify the quote: the key that signs lists did not sign it")
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:]), nil
}

// ReadMemory parses a verifier's memory.
func ReadMemory(data []byte) (m Memory, err error) {
	if err = decode(data, &m); err == nil && (m.Format != MemoryFormat || m.Version != Version) {
		err = fmt.Errorf("it is no document of the form %s %d", MemoryFormat, Version)
	}
	if err == nil && m.Key == "" && m.Machine == "" && m.Pending == nil {
		err = errors.New("it names no key")
	}
	return m, err
}

// decode reads exactly one JSON document.
func decode(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.More() {
		return errors.New("something follows the document")
	}
	return nil
}
