// SPDX-License-Identifier: Apache-2.0

package tpm_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
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
