// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// endorsements are the supported kinds of endorsement keys: their templates, and the indices at
// which the maker of a TPM stores their certificates (TCG EK Credential Profile, 2.2.1.4 and
// 2.2.1.5). Elliptic keys come first, because a TPM derives them at once. Every TPM has the
// first.
var endorsements = []struct {
	template    tpm2.TPMTPublic
	certificate uint32
}{
	{tpm2.ECCEKTemplate, 0x01c0000a},
	{p384, 0x01c00016},
	{tpm2.RSAEKTemplate, 0x01c00002},
}

// p384 is template H-4 of that profile. Its policy (PolicyB) is for administrators only: the key
// is used by its authorization, which is empty.
var p384 = tpm2.TPMTPublic{
	Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA384,
	ObjectAttributes: tpm2.TPMAObject{
		FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, AdminWithPolicy: true, Restricted: true, Decrypt: true,
	},
	AuthPolicy: tpm2.TPM2BDigest{Buffer: []byte{
		0xb2, 0x6e, 0x7d, 0x28, 0xd1, 0x1a, 0x50, 0xbc, 0x53, 0xd8, 0x82, 0xbc, 0xf5, 0xfd, 0x3a, 0x1a,
		0x07, 0x41, 0x48, 0xbb, 0x35, 0xd3, 0xb4, 0xe4, 0xcb, 0x1c, 0x0a, 0xd9, 0xbd, 0xe4, 0x19, 0xca,
		0xcb, 0x47, 0xba, 0x09, 0x69, 0x96, 0x46, 0x15, 0x0f, 0x9f, 0xc0, 0x00, 0xf3, 0xf8, 0x0e, 0x12,
	}},
	Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
		Symmetric: tpm2.TPMTSymDefObject{
			Algorithm: tpm2.TPMAlgAES,
			KeyBits:   tpm2.NewTPMUSymKeyBits(tpm2.TPMAlgAES, tpm2.TPMKeyBits(256)),
			Mode:      tpm2.NewTPMUSymMode(tpm2.TPMAlgAES, tpm2.TPMAlgCFB),
		},
		CurveID: tpm2.TPMECCNistP384,
	}),
	Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{}),
}

// Identity has the keys that identify a TPM.
type Identity struct {
	Endorsement []byte // TPMT_PUBLIC of the endorsement key
	Certificate []byte // DER, by the TPM's maker, for that key; nil: the TPM has none
	Attestation []byte // TPMT_PUBLIC of the attestation key
}

// Identity returns the keys of the TPM: an endorsement key with its maker's certificate, or the
// elliptic one if there is no certificate.
func (t *Conn) Identity() (Identity, error) {
	_, attestation, release, err := t.attestationKey()
	if err != nil {
		return Identity{}, err
	}
	release()
	id := Identity{Attestation: attestation}
	for _, e := range endorsements {
		certificate, err := t.certificate(e.certificate)
		if err != nil {
			return Identity{}, err
		}
		if certificate == nil && id.Endorsement != nil {
			continue // deriving it may take many seconds
		}
		_, public, release, err := t.endorsementKey(e.template)
		if err != nil {
			return Identity{}, err
		}
		release()
		// A maker may derive the key from a template of its own.
		certified := certificate != nil && certifies(certificate, public)
		if certified || id.Endorsement == nil {
			id.Endorsement = public
		}
		if certified {
			id.Certificate = certificate
			return id, nil
		}
	}
	return id, nil
}

// Activate decrypts a credential that was made for an endorsement key of this TPM and for its
// attestation key. Errors include [ErrCredential].
func (t *Conn) Activate(c Credential) ([]byte, error) {
	attestation, _, release, err := t.attestationKey()
	if err != nil {
		return nil, err
	}
	defer release()
	for _, e := range endorsements {
		if uint16(e.template.Type) != c.Algorithm {
			continue
		}
		secret, err := t.activate(e.template, attestation, c)
		if !errors.Is(err, ErrCredential) {
			return secret, err
		}
	}
	return nil, ErrCredential
}

// activate decrypts a credential with the endorsement key of one template. If the TPM lacks that
// curve, the credential is for another one.
func (t *Conn) activate(template tpm2.TPMTPublic, attestation tpm2.AuthHandle, c Credential) ([]byte, error) {
	key, _, release, err := t.endorsementKey(template)
	if errors.Is(err, tpm2.TPMRCCurve) || errors.Is(err, tpm2.TPMRCHash) || errors.Is(err, tpm2.TPMRCSymmetric) {
		return nil, ErrCredential
	}
	if err != nil {
		return nil, err
	}
	defer release()
	r, err := tpm2.ActivateCredential{
		ActivateHandle: attestation, KeyHandle: key,
		CredentialBlob: tpm2.TPM2BIDObject{Buffer: c.Blob}, Secret: tpm2.TPM2BEncryptedSecret{Buffer: c.Secret},
	}.Execute(t)
	for _, refused := range []tpm2.TPMRC{tpm2.TPMRCIntegrity, tpm2.TPMRCValue, tpm2.TPMRCSize, tpm2.TPMRCECCPoint, tpm2.TPMRCInsufficient} {
		if errors.Is(err, refused) {
			return nil, ErrCredential
		}
	}
	if err != nil {
		return nil, fmt.Errorf("cannot answer the challenge: %w", err)
	}
	return r.CertInfo.Buffer, nil
}

// endorsementKey derives an endorsement key, which can only decrypt credentials.
func (t *Conn) endorsementKey(template tpm2.TPMTPublic) (key tpm2.AuthHandle, public []byte, release func(), err error) {
	r, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: session(t.Endorsement)},
		InPublic:      tpm2.New2B(template),
	}.Execute(t)
	if err != nil {
		return key, nil, nil, fmt.Errorf("cannot derive the endorsement key: %w", plain(err, ErrEndorsement))
	}
	release = func() { t.forget(r.ObjectHandle) }
	if template.ObjectAttributes.UserWithAuth {
		return tpm2.AuthHandle{Handle: r.ObjectHandle, Name: r.Name, Auth: tpm2.PasswordAuth(nil)}, r.OutPublic.Bytes(), release, nil
	}
	proof := session(t.Endorsement)
	use := tpm2.Policy(tpm2.TPMAlgSHA256, 16, func(t transportTPM, session tpm2.TPMISHPolicy, nonce tpm2.TPM2BNonce) error {
		_, err := tpm2.PolicySecret{
			AuthHandle:    tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: proof},
			PolicySession: session, NonceTPM: nonce,
		}.Execute(t)
		return err
	})
	return tpm2.AuthHandle{Handle: r.ObjectHandle, Name: r.Name, Auth: use}, r.OutPublic.Bytes(), release, nil
}

// certificate reads the certificate at a public index, nil if there is none.
func (t *Conn) certificate(index uint32) ([]byte, error) {
	r, err := tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(index)}.Execute(t)
	if errors.Is(err, tpm2.TPMRCHandle) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot find the certificate of the endorsement key: %w", err)
	}
	p, err := r.NVPublic.Contents()
	if err != nil {
		return nil, fmt.Errorf("cannot find the certificate of the endorsement key: %w", err)
	}
	if !p.Attributes.Written || !p.Attributes.AuthRead || p.DataSize > maxPart {
		return nil, nil
	}
	const most = 512 // the most that every TPM returns at one time
	data := make([]byte, 0, p.DataSize)
	for len(data) < int(p.DataSize) {
		part, err := tpm2.NVRead{
			AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(index), Name: r.NVName, Auth: tpm2.PasswordAuth(nil)},
			NVIndex:    tpm2.NamedHandle{Handle: tpm2.TPMHandle(index), Name: r.NVName},
			Size:       min(most, p.DataSize-uint16(len(data))), Offset: uint16(len(data)),
		}.Execute(t)
		if err != nil || len(part.Data.Buffer) == 0 {
			return nil, nil // the TPM is treated as one without a certificate
		}
		data = append(data, part.Data.Buffer...)
	}
	// The index may be larger than the certificate.
	var whole asn1.RawValue
	if _, err := asn1.Unmarshal(data, &whole); err != nil {
		return nil, nil
	}
	return whole.FullBytes, nil
}

// certifies reports whether a certificate is for the key with that TPMT_PUBLIC.
func certifies(certificate, public []byte) bool {
	cert, err := x509.ParseCertificate(certificate)
	if err != nil {
		return false
	}
	key, err := PublicKey(public)
	if err != nil {
		return false
	}
	same, ok := key.(interface{ Equal(crypto.PublicKey) bool })
	return ok && same.Equal(cert.PublicKey)
}

// PublicKey returns the public key (an [*rsa.PublicKey] or [*ecdsa.PublicKey]) of an endorsement
// key (TPMT_PUBLIC) of a supported kind.
func PublicKey(endorsement []byte) (crypto.PublicKey, error) {
	area, err := readEndorsement(endorsement)
	if err != nil {
		return nil, err
	}
	key, err := guarded(func() (crypto.PublicKey, error) { return tpm2.Pub(*area) })
	if err != nil {
		return nil, fmt.Errorf("cannot read the endorsement key: %w", err)
	}
	return key, nil
}

// readEndorsement parses an endorsement key. It refuses a key of any other template, whose
// further uses would be unknown.
func readEndorsement(data []byte) (*tpm2.TPMTPublic, error) {
	area, err := unmarshalPublic(data)
	if err != nil {
		return nil, fmt.Errorf("cannot read the endorsement key: %w", err)
	}
	for _, e := range endorsements {
		want := e.template
		want.Unique = area.Unique
		if want.Type == area.Type && bytes.Equal(tpm2.Marshal(want), data) {
			return area, nil
		}
	}
	return nil, errors.New("cannot use the endorsement key: want RSA with 2048 bits, P-256 or P-384, as TPMs have it by default")
}
