// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

type transportTPM = transport.TPM

// ErrCredential means that a credential was not made for this TPM and its attestation key.
var ErrCredential = errors.New("the challenge is for another TPM")

// Credential is a secret that only one TPM can decrypt, and only while it has a certain
// attestation key.
type Credential struct {
	Algorithm uint16 // TPM_ALG_ID of the endorsement key
	Blob      []byte // the content of TPM2B_ID_OBJECT
	Secret    []byte // the content of TPM2B_ENCRYPTED_SECRET
}

// MakeCredential encrypts a secret of at most 32 bytes for an endorsement key and an attestation
// key (both TPMT_PUBLIC). It needs no TPM. The caller must know to which TPM the endorsement key
// belongs.
func MakeCredential(endorsement, attestation, secret []byte) (Credential, error) {
	if len(secret) > sha256.Size {
		return Credential{}, errors.New("cannot make a challenge: its secret is too large")
	}
	area, err := readEndorsement(endorsement)
	if err != nil {
		return Credential{}, err
	}
	if _, err := readKey(attestation); err != nil {
		return Credential{}, err
	}
	name, err := KeyName(attestation)
	if err != nil {
		return Credential{}, err
	}
	return guarded(func() (Credential, error) {
		c := Credential{Algorithm: uint16(area.Type)}
		key, err := tpm2.ImportEncapsulationKey(area)
		if err == nil {
			c.Blob, c.Secret, err = tpm2.CreateCredential(rand.Reader, key, name, secret)
		}
		if err != nil {
			return Credential{}, fmt.Errorf("cannot make a challenge: %w", err)
		}
		return c, nil
	})
}

// guarded calls fn, which parses untrusted input, and turns a panic into an error.
func guarded[T any](fn func() (T, error)) (value T, err error) {
	defer func() {
		if recover() != nil {
			var none T
			value, err = none, errors.New("it is malformed")
		}
	}()
	return fn()
}
