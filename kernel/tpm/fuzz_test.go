// SPDX-License-Identifier: Apache-2.0

package tpm_test

import (
	"testing"

	"github.com/digestd/digestd/kernel/tpm"
	"github.com/google/go-tpm/tpm2"
)

// attestationArea is an attestation key as a machine shows it, on some curve.
func attestationArea(curve tpm2.TPMECCCurve, size int) []byte {
	return tpm2.Marshal(tpm2.TPMTPublic{
		Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, Restricted: true, SignEncrypt: true},
		Parameters:       tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{CurveID: curve}),
		Unique:           tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{X: tpm2.TPM2BECCParameter{Buffer: make([]byte, size)}, Y: tpm2.TPM2BECCParameter{Buffer: make([]byte, size)}}),
	})
}

// FuzzCertificate: whatever a machine shows as its TPM's certificate is verified or refused.
func FuzzCertificate(f *testing.F) {
	signature := tpm2.Marshal(tpm2.TPMTSignature{
		SigAlg:    tpm2.TPMAlgECDSA,
		Signature: tpm2.NewTPMUSignature(tpm2.TPMAlgECDSA, &tpm2.TPMSSignatureECC{Hash: tpm2.TPMAlgSHA256, SignatureR: tpm2.TPM2BECCParameter{Buffer: []byte{1}}, SignatureS: tpm2.TPM2BECCParameter{Buffer: []byte{1}}}),
	})
	for curve, size := range map[tpm2.TPMECCCurve]int{tpm2.TPMECCNistP256: 32, tpm2.TPMECCNistP521: 66, tpm2.TPMECCBNP256: 32} {
		f.Add(attestationArea(curve, size), []byte("\xffTCG\x80\x14"), signature)
		f.Add(attestationArea(curve, 1), []byte("\xffTCG\x80\x14"), signature)
	}
	f.Fuzz(func(t *testing.T, key, attest, signature []byte) {
		if c, err := (tpm.Certificate{Key: key, Attest: attest, Signature: signature}).Verify([]byte("data")); err == nil {
			t.Errorf("nobody signed %x, and it says %+v", attest, c)
		}
		tpm.KeyName(key)
	})
}

// FuzzCredential: a challenge is made or refused, whichever keys a machine shows.
func FuzzCredential(f *testing.F) {
	for _, endorsement := range []tpm2.TPMTPublic{tpm2.RSAEKTemplate, tpm2.ECCEKTemplate} {
		f.Add(tpm2.Marshal(endorsement), attestationArea(tpm2.TPMECCNistP256, 32))
	}
	f.Fuzz(func(t *testing.T, endorsement, attestation []byte) {
		if _, err := tpm.MakeCredential(endorsement, attestation, []byte("secret")); err != nil {
			return
		}
		if _, err := tpm.PublicKey(endorsement); err != nil {
			t.Errorf("a challenge for the key %x, which cannot be read: %v", endorsement, err)
		}
	})
}
