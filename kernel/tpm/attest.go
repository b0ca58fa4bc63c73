// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// attestationKey is the template of a key that signs only what the TPM itself says. It is
// derived from the endorsement seed whenever it is needed, so it is the same until the
// TPM's maker, or who owns its platform, changes that seed.
var attestationKey = tpm2.TPMTPublic{
	Type:    tpm2.TPMAlgECC,
	NameAlg: tpm2.TPMAlgSHA256,
	ObjectAttributes: tpm2.TPMAObject{
		FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, NoDA: true, Restricted: true, SignEncrypt: true,
	},
	Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
		CurveID: tpm2.TPMECCNistP256,
		Scheme: tpm2.TPMTECCScheme{
			Scheme:  tpm2.TPMAlgECDSA,
			Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256}),
		},
	}),
	Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{}),
}

// Certificate is what a TPM says of a counter, signed by its attestation key.
type Certificate struct {
	Attest    []byte // TPMS_ATTEST
	Signature []byte // TPMT_SIGNATURE
	Key       []byte // TPMT_PUBLIC of the attestation key
}

// Certify has the TPM say which value c has. The answer covers data, at most 32 bytes.
// Errors are those of [Conn.ReadCounter].
func (t *Conn) Certify(c Counter, data []byte) (Certificate, error) {
	key, public, release, err := t.attestationKey()
	if err != nil {
		return Certificate{}, err
	}
	defer release()
	r, err := tpm2.NVCertify{SignHandle: key, AuthHandle: c.auth(), NVIndex: c.handle(), QualifyingData: tpm2.TPM2BData{Buffer: data}, Size: 8}.Execute(t)
	if err != nil {
		return Certificate{}, fmt.Errorf("cannot certify the counter: %w", plain(err, ErrAuth))
	}
	return Certificate{Attest: r.CertifyInfo.Bytes(), Signature: tpm2.Marshal(r.Signature), Key: public}, nil
}

// AttestationKey returns the public part (TPMT_PUBLIC) of the attestation key.
func (t *Conn) AttestationKey() ([]byte, error) {
	_, public, release, err := t.attestationKey()
	if err != nil {
		return nil, err
	}
	release()
	return public, nil
}

// attestationKey derives the key.
func (t *Conn) attestationKey() (key tpm2.AuthHandle, public []byte, release func(), err error) {
	if err := t.FlushAll(); err != nil {
		return key, nil, nil, err
	}
	r, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: tpm2.PasswordAuth(nil)},
		InPublic:      tpm2.New2B(attestationKey),
	}.Execute(t)
	if err != nil {
		return key, nil, nil, fmt.Errorf("cannot derive the attestation key (has the endorsement hierarchy a password?): %w", err)
	}
	return tpm2.AuthHandle{Handle: r.ObjectHandle, Name: r.Name, Auth: tpm2.PasswordAuth(nil)}, r.OutPublic.Bytes(),
		func() { t.forget(r.ObjectHandle) }, nil
}

// Endorsement returns the public part (TPMT_PUBLIC) of the key that the TPM's maker vouches
// for, and the maker's certificate of it (DER), nil where the TPM has none.
func (t *Conn) Endorsement() (public, certificate []byte, err error) {
	r, release, err := t.endorsementKey()
	if err != nil {
		return nil, nil, err
	}
	defer release()
	return r.OutPublic.Bytes(), t.endorsementCertificate(), nil
}

func (t *Conn) endorsementKey() (*tpm2.CreatePrimaryResponse, func(), error) {
	r, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: tpm2.PasswordAuth(nil)},
		InPublic:      tpm2.New2B(tpm2.ECCEKTemplate),
	}.Execute(t)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot derive the endorsement key (has the endorsement hierarchy a password?): %w", err)
	}
	return r, func() { t.forget(r.ObjectHandle) }, nil
}

// endorsementCertificate reads the certificate of the elliptic key where makers put it
// (TCG EK Credential Profile 2.2.1.4).
func (t *Conn) endorsementCertificate() []byte {
	const index, most, piece = tpm2.TPMHandle(0x01c0000a), 8 << 10, 512
	p, err := tpm2.NVReadPublic{NVIndex: index}.Execute(t)
	if err != nil {
		return nil
	}
	area, err := p.NVPublic.Contents()
	if err != nil || area.DataSize == 0 || area.DataSize > most {
		return nil
	}
	var all []byte
	for len(all) < int(area.DataSize) {
		r, err := tpm2.NVRead{
			AuthHandle: tpm2.AuthHandle{Handle: index, Name: p.NVName, Auth: tpm2.PasswordAuth(nil)},
			NVIndex:    tpm2.NamedHandle{Handle: index, Name: p.NVName},
			Size:       uint16(min(piece, int(area.DataSize)-len(all))), Offset: uint16(len(all)),
		}.Execute(t)
		if err != nil || len(r.Data.Buffer) == 0 {
			return nil
		}
		all = append(all, r.Data.Buffer...)
	}
	return all
}

// Activate returns what a verifier encrypted for the holder of the endorsement key and of
// this attestation key: it proves that both are in this TPM (TPM2_ActivateCredential).
func (t *Conn) Activate(blob, secret []byte) ([]byte, error) {
	ak, _, release, err := t.attestationKey()
	if err != nil {
		return nil, err
	}
	defer release()
	ek, forget, err := t.endorsementKey()
	if err != nil {
		return nil, err
	}
	defer forget()
	r, err := tpm2.ActivateCredential{
		ActivateHandle: ak,
		KeyHandle:      tpm2.AuthHandle{Handle: ek.ObjectHandle, Name: ek.Name, Auth: tpm2.Policy(tpm2.TPMAlgSHA256, 16, endorse)},
		CredentialBlob: tpm2.TPM2BIDObject{Buffer: blob}, Secret: tpm2.TPM2BEncryptedSecret{Buffer: secret},
	}.Execute(t)
	if err != nil {
		return nil, fmt.Errorf("cannot answer the challenge (was it made for another machine?): %w", err)
	}
	return r.CertInfo.Buffer, nil
}

// endorse satisfies the policy of the endorsement key: that we may use its hierarchy.
func endorse(t transport.TPM, handle tpm2.TPMISHPolicy, nonce tpm2.TPM2BNonce) error {
	_, err := tpm2.PolicySecret{
		AuthHandle:    tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: tpm2.PasswordAuth(nil)},
		PolicySession: handle, NonceTPM: nonce,
	}.Execute(t)
	return err
}
