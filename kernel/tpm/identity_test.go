// SPDX-License-Identifier: Apache-2.0

package tpm_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"path/filepath"
	"testing"

	"github.com/digestd/digestd/integration/tokentest"
	"github.com/digestd/digestd/kernel/tpm"
	"github.com/digestd/digestd/kernel/tpm/tpmtest"
	"github.com/google/go-tpm/tpm2"
)

// identity asks a TPM who it is.
func identity(t *testing.T, chip *tokentest.TPM) (id tpm.Identity) {
	t.Helper()
	tpmtest.Do(t, chip.Socket, func(c *tpm.Conn) (err error) {
		id, err = c.Identity()
		return err
	})
	return id
}

// activate has a TPM answer a challenge.
func activate(t *testing.T, chip *tokentest.TPM, c tpm.Credential) (secret []byte, err error) {
	t.Helper()
	tpmtest.Do(t, chip.Socket, func(conn *tpm.Conn) error {
		secret, err = conn.Activate(c)
		return nil
	})
	return secret, err
}

// TestIdentity: a TPM shows the key that its maker vouches for, and the elliptic one where
// nobody does; it is the same after a reset.
func TestIdentity(t *testing.T) {
	chip := tokentest.NewTPM(t, filepath.Join(t.TempDir(), "tpm"))
	plain := identity(t, chip)
	if key, err := tpm.PublicKey(plain.Endorsement); plain.Certificate != nil || err != nil {
		t.Fatalf("%+v, %T, %v", plain, key, err)
	}
	maker := tpmtest.NewMaker(t, "maker")
	// The elliptic key has a certificate of another one: it is of no use.
	other := identity(t, tokentest.NewTPM(t, filepath.Join(t.TempDir(), "tpm")))
	certificate, err := maker.Certificate(other.Endorsement, tpmtest.EKCertificate)
	if err != nil {
		t.Fatal(err)
	}
	tpmtest.Do(t, chip.Socket, tpmtest.KeepCertificate(tpmtest.ECCCertificate, certificate, 0))
	if id := identity(t, chip); id.Certificate != nil || !bytes.Equal(id.Endorsement, plain.Endorsement) {
		t.Errorf("%+v", id)
	}
	// The RSA key has one, in an index that is larger.
	var public []byte
	tpmtest.Do(t, chip.Socket, func(c *tpm.Conn) error {
		r, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHEndorsement, InPublic: tpm2.New2B(tpm2.RSAEKTemplate)}.Execute(c)
		if err == nil {
			public = r.OutPublic.Bytes()
		}
		return err
	})
	if certificate, err = maker.Certificate(public, tpmtest.EKCertificate); err != nil {
		t.Fatal(err)
	}
	tpmtest.Do(t, chip.Socket, tpmtest.KeepCertificate(tpmtest.RSACertificate, certificate, 700))
	chip.Stop()
	chip.Start()
	id := identity(t, chip)
	if !bytes.Equal(id.Endorsement, public) || !bytes.Equal(id.Certificate, certificate) || !bytes.Equal(id.Attestation, plain.Attestation) {
		t.Errorf("%+v", id)
	}
	if key, err := tpm.PublicKey(id.Endorsement); err != nil || key.(*rsa.PublicKey).Size() != 256 {
		t.Errorf("%v", err)
	}
	if _, err := x509.ParseCertificate(id.Certificate); err != nil {
		t.Error(err)
	}
	c, err := tpm.MakeCredential(id.Endorsement, id.Attestation, []byte("a secret"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := activate(t, chip, c); err != nil || string(got) != "a secret" {
		t.Errorf("RSA: %q, %v", got, err)
	}
}

// TestIdentityP384: a TPM whose maker vouches for a key of P-384 shows that one, answers a
// challenge for it, and still answers one for the key of P-256.
func TestIdentityP384(t *testing.T) {
	chip := tokentest.NewTPM(t, filepath.Join(t.TempDir(), "tpm"))
	usual := identity(t, chip)
	template := tpm2.TPMTPublic{
		Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA384,
		ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, AdminWithPolicy: true, Restricted: true, Decrypt: true},
		AuthPolicy:       tpm2.TPM2BDigest{Buffer: policyB(t, chip)},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			Symmetric: tpm2.TPMTSymDefObject{Algorithm: tpm2.TPMAlgAES, KeyBits: tpm2.NewTPMUSymKeyBits(tpm2.TPMAlgAES, tpm2.TPMKeyBits(256)), Mode: tpm2.NewTPMUSymMode(tpm2.TPMAlgAES, tpm2.TPMAlgCFB)},
			CurveID:   tpm2.TPMECCNistP384,
		}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{}),
	}
	var public []byte
	tpmtest.Do(t, chip.Socket, func(c *tpm.Conn) error {
		r, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHEndorsement, InPublic: tpm2.New2B(template)}.Execute(c)
		if err == nil {
			public = r.OutPublic.Bytes()
		}
		return err
	})
	certificate, err := tpmtest.NewMaker(t, "maker").Certificate(public, tpmtest.EKCertificate)
	if err != nil {
		t.Fatal(err)
	}
	tpmtest.Do(t, chip.Socket, tpmtest.KeepCertificate(tpmtest.ECCHigh, certificate, 0))
	chip.Stop() // the key of above is gone with that
	chip.Start()
	id := identity(t, chip)
	if !bytes.Equal(id.Endorsement, public) || !bytes.Equal(id.Certificate, certificate) {
		t.Errorf("%+v", id)
	}
	for what, endorsement := range map[string][]byte{"P-384": public, "P-256": usual.Endorsement} {
		c, err := tpm.MakeCredential(endorsement, id.Attestation, []byte("a secret"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := activate(t, chip, c); err != nil || string(got) != "a secret" {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
}

// policyB has a TPM compute the policy that the profile names for keys with SHA-384: PolicyOR
// of PolicySecret(TPM_RH_ENDORSEMENT) and of PolicyAuthorizeNV with an index of that profile.
func policyB(t *testing.T, chip *tokentest.TPM) (digest []byte) {
	t.Helper()
	// The Name of that index is a constant of the profile, and so is its branch.
	authorized, err := hex.DecodeString("d6032ce61f2fb3c240eb3cf6a33237ef2b6a16f4293c22b455e261cffd217ad5b4947c2d73e63005eed2dc2b3593d165")
	if err != nil {
		t.Fatal(err)
	}
	tpmtest.Do(t, chip.Socket, func(c *tpm.Conn) error {
		session, release, err := tpm2.PolicySession(c, tpm2.TPMAlgSHA384, 16)
		if err != nil {
			return err
		}
		defer release()
		_, err = tpm2.PolicySecret{AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: tpm2.PasswordAuth(nil)}, PolicySession: session.Handle(), NonceTPM: session.NonceTPM()}.Execute(c)
		if err != nil {
			return err
		}
		secret, err := tpm2.PolicyGetDigest{PolicySession: session.Handle()}.Execute(c)
		if err != nil {
			return err
		}
		_, err = tpm2.PolicyOr{PolicySession: session.Handle(), PHashList: tpm2.TPMLDigest{Digests: []tpm2.TPM2BDigest{secret.PolicyDigest, {Buffer: authorized}}}}.Execute(c)
		if err != nil {
			return err
		}
		r, err := tpm2.PolicyGetDigest{PolicySession: session.Handle()}.Execute(c)
		if err == nil {
			digest = r.PolicyDigest.Buffer
		}
		return err
	})
	return digest
}

// TestActivate: only the TPM that has both keys learns the secret, and it goes on after what
// it cannot decrypt.
func TestActivate(t *testing.T) {
	chip := tokentest.NewTPM(t, filepath.Join(t.TempDir(), "tpm"))
	other := tokentest.NewTPM(t, filepath.Join(t.TempDir(), "tpm"))
	mine, others := identity(t, chip), identity(t, other)
	secret := bytes.Repeat([]byte{7}, 32)
	for what, c := range map[string]struct {
		endorsement, attestation []byte
		of                       *tokentest.TPM
		good                     bool
	}{
		"both":                       {mine.Endorsement, mine.Attestation, chip, true},
		"another attestation key":    {mine.Endorsement, others.Attestation, chip, false},
		"another endorsement key":    {others.Endorsement, mine.Attestation, chip, false},
		"another TPM":                {mine.Endorsement, mine.Attestation, other, false},
		"the other TPM's, of its":    {others.Endorsement, others.Attestation, other, true},
		"the other TPM's, of this":   {others.Endorsement, others.Attestation, chip, false},
		"mine, with its attestation": {mine.Endorsement, others.Attestation, other, false},
	} {
		made, err := tpm.MakeCredential(c.endorsement, c.attestation, secret)
		if err != nil {
			t.Fatal(err)
		}
		got, err := activate(t, c.of, made)
		if c.good != (err == nil) || c.good && !bytes.Equal(got, secret) || !c.good && !errors.Is(err, tpm.ErrCredential) {
			t.Errorf("%s: %x, %v", what, got, err)
		}
	}
	// Nothing is left of what was refused: a TPM has room for few sessions.
	made, err := tpm.MakeCredential(mine.Endorsement, mine.Attestation, secret)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 70 {
		bad := made
		switch i % 4 {
		case 0:
			bad.Blob = bytes.Clone(made.Blob)
			bad.Blob[i%len(bad.Blob)] ^= 1
		case 1:
			bad.Secret = made.Secret[:i%len(made.Secret)]
		case 2:
			bad.Blob = nil
		case 3:
			bad.Algorithm = uint16(tpm2.TPMAlgSHA256)
		}
		if got, err := activate(t, chip, bad); !errors.Is(err, tpm.ErrCredential) {
			t.Fatalf("attempt %d: %x, %v", i, got, err)
		}
	}
	if got, err := activate(t, chip, made); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("%x, %v", got, err)
	}
}

// TestMakeCredential: keys of another form are refused.
func TestMakeCredential(t *testing.T) {
	chip := tokentest.NewTPM(t, filepath.Join(t.TempDir(), "tpm"))
	id := identity(t, chip)
	storage := tpm2.Marshal(tpm2.ECCSRKTemplate)
	for what, keys := range map[string][2][]byte{
		"nothing":                       {nil, id.Attestation},
		"no attestation key":            {id.Endorsement, nil},
		"exchanged":                     {id.Attestation, id.Endorsement},
		"a storage key":                 {storage, id.Attestation},
		"a storage key to be certified": {id.Endorsement, storage},
		"cut":                           {id.Endorsement[:len(id.Endorsement)-1], id.Attestation},
		"more":                          {append(bytes.Clone(id.Endorsement), 0), id.Attestation},
		"huge":                          {make([]byte, 1<<20), id.Attestation},
	} {
		if c, err := tpm.MakeCredential(keys[0], keys[1], []byte("secret")); err == nil {
			t.Errorf("%s: %+v", what, c)
		}
	}
	// A point that is not on the curve.
	bent := bytes.Clone(id.Endorsement)
	bent[len(bent)-1] ^= 1
	if c, err := tpm.MakeCredential(bent, id.Attestation, []byte("secret")); err == nil {
		t.Errorf("a point that is not on the curve: %+v", c)
	}
	if _, err := tpm.MakeCredential(id.Endorsement, id.Attestation, make([]byte, 64<<10)); err == nil {
		t.Error("a secret that is too large")
	}
}
