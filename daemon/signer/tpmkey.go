// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"crypto/ecdsa"
	"encoding/asn1"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

const (
	// tpmType is the PEM type of a key that a TPM can load, as in draft-bottomley-tpm2-keys §4;
	// OpenSSL's providers read it.
	tpmType = "TSS2 PRIVATE KEY"
	// deviceHeader names the TPM if it is not the default one.
	deviceHeader = "Device"
)

var oidLoadable = asn1.ObjectIdentifier{2, 23, 133, 10, 1, 3}

// tpmKey is the TPMKey of draft-bottomley-tpm2-keys §3, without the parts that these keys do not
// use: policies, a password, a description.
type tpmKey struct {
	Type      asn1.ObjectIdentifier
	EmptyAuth bool `asn1:"explicit,tag:0,optional"`
	Parent    int64
	Public    []byte // TPM2B_PUBLIC
	Private   []byte // TPM2B_PRIVATE: encrypted by the parent
}

func (k *tpmKey) marshal() []byte {
	der, err := asn1.Marshal(*k)
	if err != nil {
		panic(err) // all values of these types can be encoded
	}
	return der
}

func parseTPMKey(der []byte) (*tpmKey, error) {
	var k tpmKey
	rest, err := asn1.Unmarshal(der, &k)
	parent := tpm2.TPMHandle(k.Parent)
	switch {
	case err != nil:
		return nil, fmt.Errorf("it is no key of a TPM: %w", err)
	case len(rest) > 0:
		return nil, errors.New("it is no key of a TPM: something follows it")
	case !k.Type.Equal(oidLoadable):
		return nil, fmt.Errorf("it is a TPM key of kind %v, want %v", k.Type, oidLoadable)
	case !k.EmptyAuth:
		return nil, errors.New("it has a password, which nobody could give")
	case int64(parent) != k.Parent || parent != tpm2.TPMRHOwner && (parent < firstPersistent || parent > lastPersistent):
		return nil, fmt.Errorf("its parent %#x is neither the owner nor a persistent storage key", k.Parent)
	}
	return &k, nil
}

// publicKey returns the public part, which is not encrypted.
func (k *tpmKey) publicKey() (*ecdsa.PublicKey, error) {
	area, err := tpm2.Unmarshal[tpm2.TPM2BPublic](k.Public)
	if err != nil {
		return nil, fmt.Errorf("cannot read the public part of the key: %w", err)
	}
	contents, err := area.Contents()
	if err != nil {
		return nil, fmt.Errorf("cannot read the public part of the key: %w", err)
	}
	public, err := tpm2.Pub(*contents)
	if err != nil {
		return nil, fmt.Errorf("cannot read the public part of the key: %w", err)
	}
	return remoteKey(public)
}
