// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// attestationKey is the template of a key that signs only structures of the TPM itself. The TPM
// derives it from the endorsement seed whenever it is needed, so it stays the same until the
// maker of the TPM, or the owner of its platform, changes that seed.
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

// Certificate states the value of a counter, signed by the TPM's attestation key.
type Certificate struct {
	Attest    []byte // TPMS_ATTEST
	Signature []byte // TPMT_SIGNATURE
	Key       []byte // TPMT_PUBLIC of the attestation key
}

// Certify makes the TPM certify the value of c. The signature covers data, at most 32 bytes.
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

// attestationKey derives the key.
func (t *Conn) attestationKey() (key tpm2.AuthHandle, public []byte, release func(), err error) {
	if err := t.FlushAll(); err != nil {
		return key, nil, nil, err
	}
	r, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: session(t.Endorsement)},
		InPublic:      tpm2.New2B(attestationKey),
	}.Execute(t)
	if err != nil {
		return key, nil, nil, fmt.Errorf("cannot derive the attestation key: %w", plain(err, ErrEndorsement))
	}
	return tpm2.AuthHandle{Handle: r.ObjectHandle, Name: r.Name, Auth: tpm2.PasswordAuth(nil)}, r.OutPublic.Bytes(),
		func() { t.forget(r.ObjectHandle) }, nil
}
