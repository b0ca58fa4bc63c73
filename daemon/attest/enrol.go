// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/kernel/tpm"
)

// A verifier enrols the attestation key of a machine by a challenge. The machine sends its
// public keys (Identity). The verifier sends a secret (Challenge) that only a TPM with both keys
// can decrypt: the attestation key, and the endorsement key, for which the maker of the TPM
// vouches. The machine answers with the secret (Proof). Treat all answers of a machine as
// untrusted input.

// The values of Format in these documents.
const (
	IdentityFormat  = "digestd-identity"
	ChallengeFormat = "digestd-challenge"
	ProofFormat     = "digestd-proof"
)

// The ways in which a verifier learned an attestation key.
const (
	ByCertificate = "certificate" // the TPM proved that it has the key, and its maker vouches for its endorsement key
	ByEndorsement = "endorsement" // the TPM proved that it has the key, and the verifier knew its endorsement key
	ByFirstUse    = "first-use"   // the verifier accepted the first key that it saw
)

// MaxIdentity bounds an identity, a challenge and a proof, in bytes.
const MaxIdentity = 32 << 10

// MaxMakers bounds the file of makers' certificates, in bytes.
const MaxMakers = 1 << 20

// Identity names the keys of a machine's TPM.
type Identity struct {
	Format      string `json:"format"`               // digestd-identity
	Version     int    `json:"version"`              // 1
	Endorsement []byte `json:"endorsement"`          // TPMT_PUBLIC of the endorsement key
	Certificate []byte `json:"certificate,omitzero"` // DER, by the TPM's maker; absent if the TPM has none
	Attestation []byte `json:"attestation"`          // TPMT_PUBLIC of the attestation key
}

// Challenge is a secret that only one TPM can decrypt.
type Challenge struct {
	Format    string `json:"format"`    // digestd-challenge
	Version   int    `json:"version"`   // 1
	Algorithm uint16 `json:"algorithm"` // TPM_ALG_ID of the endorsement key
	Blob      []byte `json:"blob"`      // TPM2B_ID_OBJECT, without its size
	Secret    []byte `json:"secret"`    // TPM2B_ENCRYPTED_SECRET, without its size
}

// Proof is the secret of a challenge, decrypted.
type Proof struct {
	Format  string `json:"format"`  // digestd-proof
	Version int    `json:"version"` // 1
	Secret  []byte `json:"secret"`
}

// Enrolment is how a verifier learned an attestation key.
type Enrolment struct {
	By          string    `json:"by"`                   // certificate, endorsement
	Endorsement string    `json:"endorsement,omitzero"` // SHA-256 of the public endorsement key (SubjectPublicKeyInfo), hexadecimal
	Maker       string    `json:"maker,omitzero"`       // subject of the maker's certificate that vouches for the endorsement key
	When        time.Time `json:"when,omitzero"`        // time of the verifier's clock
}

// Pending is a challenge that the machine has not answered yet.
type Pending struct {
	Key       string    `json:"key"`    // name of the attestation key, hexadecimal
	Digest    string    `json:"digest"` // SHA-256 of the secret, hexadecimal
	Enrolment Enrolment `json:"enrolment"`
}

// Trust is the verifier's reason to trust an endorsement key.
type Trust struct {
	Makers      []byte // certificates in PEM form: self-signed ones are trusted, the others lead to them
	Endorsement string // SHA-256 of the public endorsement key, hexadecimal
}

// errOtherTPM means that the attestation key is not the remembered one.
var errOtherTPM = errors.New("the machine has another attestation key than the one that is remembered")

// NewIdentity returns the document of an identity.
func NewIdentity(id tpm.Identity) Identity {
	return Identity{Format: IdentityFormat, Version: Version, Endorsement: id.Endorsement, Certificate: id.Certificate, Attestation: id.Attestation}
}

// Ask makes a challenge for the machine with that identity. The second result is the verifier's
// memory until the machine answers. known is its memory so far, nil for none.
func Ask(identity []byte, trust Trust, known *Memory, now time.Time) (Challenge, Memory, error) {
	var id Identity
	if err := document(identity, &id, IdentityFormat, &id.Format, &id.Version); err != nil {
		return Challenge{}, Memory{}, fmt.Errorf("cannot make a challenge: %w", err)
	}
	enrolment, err := trust.believe(id, now)
	if err != nil {
		return Challenge{}, Memory{}, fmt.Errorf("cannot believe the machine: %w", err)
	}
	name, err := tpm.KeyName(id.Attestation)
	if err != nil {
		return Challenge{}, Memory{}, err
	}
	m := Memory{Format: MemoryFormat, Version: Version}
	if known != nil {
		m = *known
	}
	key := hex.EncodeToString(name)
	if m.Key != "" && m.Key != key {
		return Challenge{}, Memory{}, fmt.Errorf("cannot believe the machine: %w", errOtherTPM)
	}
	secret := make([]byte, sha256.Size)
	rand.Read(secret)
	c, err := tpm.MakeCredential(id.Endorsement, id.Attestation, secret)
	if err != nil {
		return Challenge{}, Memory{}, err
	}
	digest := sha256.Sum256(secret)
	m.Pending = &Pending{Key: key, Digest: hex.EncodeToString(digest[:]), Enrolment: enrolment}
	return Challenge{Format: ChallengeFormat, Version: Version, Algorithm: c.Algorithm, Blob: c.Blob, Secret: c.Secret}, m, nil
}

// ReadChallenge parses a challenge for a TPM.
func ReadChallenge(data []byte) (tpm.Credential, error) {
	var c Challenge
	if err := document(data, &c, ChallengeFormat, &c.Format, &c.Version); err != nil {
		return tpm.Credential{}, fmt.Errorf("cannot read the challenge: %w", err)
	}
	return tpm.Credential{Algorithm: c.Algorithm, Blob: c.Blob, Secret: c.Secret}, nil
}

// NewProof returns the document that answers a challenge.
func NewProof(secret []byte) Proof {
	return Proof{Format: ProofFormat, Version: Version, Secret: secret}
}

// ErrUnproven means that a proof does not answer the challenge.
var ErrUnproven = errors.New("the proof does not answer the challenge: it is for another one, or another TPM answered")

// Enrol returns the verifier's memory of a machine that has answered the challenge. A wrong
// answer is [ErrUnproven].
func Enrol(proof []byte, known Memory) (Memory, error) {
	var p Proof
	if err := document(proof, &p, ProofFormat, &p.Format, &p.Version); err != nil {
		return Memory{}, fmt.Errorf("cannot read the proof: %w", err)
	}
	if known.Pending == nil {
		return Memory{}, errors.New("cannot enrol the machine: there is no challenge that waits for an answer")
	}
	want, err := hex.DecodeString(known.Pending.Digest)
	if digest := sha256.Sum256(p.Secret); err != nil || subtle.ConstantTimeCompare(digest[:], want) != 1 {
		return Memory{}, ErrUnproven
	}
	known.Key, known.Enrolment, known.Pending = known.Pending.Key, &known.Pending.Enrolment, nil
	return known, nil
}

// believe returns the reason why the endorsement key of id is trusted, or an error if it is not.
func (t Trust) believe(id Identity, now time.Time) (Enrolment, error) {
	public, err := tpm.PublicKey(id.Endorsement)
	if err != nil {
		return Enrolment{}, err
	}
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return Enrolment{}, fmt.Errorf("cannot read the endorsement key: %w", err)
	}
	sum := sha256.Sum256(spki)
	e := Enrolment{Endorsement: hex.EncodeToString(sum[:]), When: now.UTC().Truncate(time.Second)}
	switch {
	case t.Endorsement != "":
		if !strings.EqualFold(t.Endorsement, e.Endorsement) {
			return e, fmt.Errorf("the SHA-256 of its endorsement key is %s", e.Endorsement)
		}
		e.By = ByEndorsement
	case len(id.Certificate) == 0:
		return e, fmt.Errorf("its TPM has no certificate of its maker; the SHA-256 of its endorsement key is %s", e.Endorsement)
	default:
		e.By = ByCertificate
		e.Maker, err = vouched(id.Certificate, spki, t.Makers, now)
	}
	return e, err
}

// ekCertificate is the extended key usage of endorsement keys (tcg-kp-EKCertificate). A maker
// may have certified keys for other uses as well.
var ekCertificate = asn1.ObjectIdentifier{2, 23, 133, 8, 1}

// subjectAltName is an extension in which makers name the model of a TPM, in a form that Go does
// not parse.
var subjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// vouched returns the maker whose certificate vouches for an endorsement key.
func vouched(certificate, spki, makers []byte, now time.Time) (maker string, err error) {
	cert, err := x509.ParseCertificate(certificate)
	if err != nil {
		return "", fmt.Errorf("the certificate of its TPM cannot be read: %w", err)
	}
	if !bytes.Equal(cert.RawSubjectPublicKeyInfo, spki) {
		return "", errors.New("the certificate of its TPM is one of another key")
	}
	if !slices.ContainsFunc(cert.UnknownExtKeyUsage, ekCertificate.Equal) {
		return "", errors.New("the certificate of its TPM is not one of an endorsement key")
	}
	cert.UnhandledCriticalExtensions = slices.DeleteFunc(cert.UnhandledCriticalExtensions, subjectAltName.Equal)
	roots, between, err := pools(makers)
	if err != nil {
		return "", err
	}
	chains, err := cert.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return "", fmt.Errorf("none of the makers vouches for its TPM: %w", err)
	}
	return chains[0][min(1, len(chains[0])-1)].Subject.String(), nil
}

// pools separates the makers' certificates into roots and intermediates.
func pools(makers []byte) (roots, between *x509.CertPool, err error) {
	certs, err := digestlist.Certificates(makers)
	if err != nil {
		return nil, nil, fmt.Errorf("a certificate of a maker cannot be read: %w", err)
	}
	if len(certs) == 0 {
		return nil, nil, errors.New("the file of the makers has no certificate")
	}
	roots, between = x509.NewCertPool(), x509.NewCertPool()
	for _, cert := range certs {
		if bytes.Equal(cert.RawIssuer, cert.RawSubject) {
			roots.AddCert(cert)
		} else {
			between.AddCert(cert)
		}
	}
	return roots, between, nil
}

// document parses a document that must have this format.
func document(data []byte, v any, format string, gotFormat *string, gotVersion *int) error {
	if len(data) > MaxIdentity {
		return fmt.Errorf("it is larger than %d bytes", MaxIdentity)
	}
	if err := decode(data, v); err != nil || *gotFormat != format || *gotVersion != Version {
		return fmt.Errorf("it is no document of the form %s %d", format, Version)
	}
	return nil
}
