// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"

	"github.com/google/go-tpm/tpm2"
)

// The functions for a verifier use no TPM and parse untrusted bytes.

// maxPart bounds each part of a machine's statement about its TPM, in bytes.
const maxPart = 4 << 10

// Certified is the content of a certificate.
type Certified struct {
	Name     []byte // of the counter
	Value    uint64
	Clock    uint64 // milliseconds that the TPM was powered since it was cleared
	Resets   uint32 // since it was cleared
	Firmware uint64
}

// Verify returns the content of a certificate if its key signed it, the key signs only
// structures of a TPM, and the signature covers data. The caller must know to which TPM the key
// belongs.
func (c Certificate) Verify(data []byte) (Certified, error) {
	public, err := readKey(c.Key)
	if err != nil {
		return Certified{}, err
	}
	if len(c.Attest) > maxPart || len(c.Signature) > maxPart {
		return Certified{}, errors.New("cannot verify the TPM's certificate: it is too large")
	}
	sig, err := unmarshal[tpm2.TPMTSignature](c.Signature)
	if err != nil {
		return Certified{}, fmt.Errorf("cannot verify the TPM's certificate: %w", err)
	}
	s, err := sig.Signature.ECDSA()
	if err != nil || s.Hash != tpm2.TPMAlgSHA256 {
		return Certified{}, errors.New("cannot verify the TPM's certificate: its signature is not ECDSA with SHA-256")
	}
	digest := sha256.Sum256(c.Attest)
	if !ecdsa.Verify(public, digest[:], new(big.Int).SetBytes(s.SignatureR.Buffer), new(big.Int).SetBytes(s.SignatureS.Buffer)) {
		return Certified{}, errors.New("cannot verify the TPM's certificate: the attestation key did not sign it")
	}
	// The key is restricted, so a structure that begins like this was made in the TPM.
	attest, err := unmarshal[tpm2.TPMSAttest](c.Attest)
	if err != nil || attest.Magic != tpm2.TPMGeneratedValue || attest.Type != tpm2.TPMSTAttestNV {
		return Certified{}, errors.New("cannot verify the TPM's certificate: it is not one of a counter")
	}
	if !bytes.Equal(attest.ExtraData.Buffer, data) {
		return Certified{}, errors.New("cannot verify the TPM's certificate: it was made for another statement")
	}
	nv, err := attest.Attested.NV()
	if err != nil || len(nv.NVContents.Buffer) != 8 || nv.Offset != 0 {
		return Certified{}, errors.New("cannot verify the TPM's certificate: it has no value of a counter")
	}
	return Certified{
		Name: nv.IndexName.Buffer, Value: binary.BigEndian.Uint64(nv.NVContents.Buffer),
		Clock: attest.ClockInfo.Clock, Resets: attest.ClockInfo.ResetCount, Firmware: attest.FirmwareVersion,
	}, nil
}

// readKey parses an attestation key. It refuses a key that also signs other data.
func readKey(data []byte) (*ecdsa.PublicKey, error) {
	area, err := unmarshalPublic(data)
	if err != nil {
		return nil, fmt.Errorf("cannot read the attestation key: %w", err)
	}
	a := area.ObjectAttributes
	if !a.Restricted || !a.SignEncrypt || a.Decrypt || !a.FixedTPM || !a.FixedParent || !a.SensitiveDataOrigin {
		return nil, errors.New("cannot use the attestation key: it signs more than what a TPM says of itself")
	}
	public, err := tpm2.Pub(*area)
	if err != nil {
		return nil, fmt.Errorf("cannot read the attestation key: %w", err)
	}
	key, ok := public.(*ecdsa.PublicKey)
	if !ok {
		return nil, errors.New("cannot use the attestation key: it is no ECDSA key")
	}
	return key, nil
}

// KeyName returns the Name of an attestation key (TPMT_PUBLIC), by which verifiers know it.
func KeyName(data []byte) ([]byte, error) {
	area, err := unmarshalPublic(data)
	if err != nil {
		return nil, fmt.Errorf("cannot read the key: %w", err)
	}
	name, err := tpm2.ObjectName(area)
	if err != nil {
		return nil, fmt.Errorf("cannot name the key: %w", err)
	}
	return name.Buffer, nil
}

func unmarshalPublic(data []byte) (*tpm2.TPMTPublic, error) {
	if len(data) > maxPart {
		return nil, errors.New("it is too large")
	}
	return unmarshal[tpm2.TPMTPublic](data)
}

// unmarshal parses a structure of the TPM from untrusted bytes, all of which must belong to it.
func unmarshal[T tpm2.Marshallable, P interface {
	*T
	tpm2.Unmarshallable
}](data []byte) (*T, error) {
	return guarded(func() (*T, error) { return tpm2.Unmarshal[T, P](data) })
}
