// SPDX-License-Identifier: Apache-2.0

package tpmtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/digestd/digestd/kernel/tpm"
	"github.com/google/go-tpm/tpm2"
)

// Maker certifies endorsement keys, like the maker of TPMs.
type Maker struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// NewMaker returns a maker of that name.
func NewMaker(tb testing.TB, name string) *Maker {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return &Maker{key, cert}
}

// PEM returns the certificate of the maker.
func (m *Maker) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.cert.Raw})
}

// EKCertificate is the extended key usage of endorsement keys (tcg-kp-EKCertificate).
var EKCertificate = asn1.ObjectIdentifier{2, 23, 133, 8, 1}

// Certificate certifies an endorsement key for a purpose.
func (m *Maker) Certificate(endorsement []byte, purpose asn1.ObjectIdentifier) ([]byte, error) {
	key, err := tpm.PublicKey(endorsement)
	if err != nil {
		return nil, err
	}
	// Makers put the model into a critical alternative name; the subject is empty.
	model, err := asn1.Marshal(pkix.Name{CommonName: "model"}.ToRDNSequence())
	if err != nil {
		return nil, err
	}
	names, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: model}})
	if err != nil {
		return nil, err
	}
	return x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		BasicConstraintsValid: true, UnknownExtKeyUsage: []asn1.ObjectIdentifier{purpose},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: names}},
	}, m.cert, key, m.key)
}

// The indices of certificates in TPMs.
const (
	RSACertificate = 0x01c00002
	ECCCertificate = 0x01c0000a
	ECCHigh        = 0x01c00016 // of P-384
)

// KeepCertificate writes a certificate into a TPM, as its maker does, at an index that is larger
// by some bytes.
func KeepCertificate(index uint32, certificate []byte, more int) func(*tpm.Conn) error {
	return func(c *tpm.Conn) error {
		data := append(append([]byte{}, certificate...), make([]byte, more)...)
		attributes := tpm2.TPMANV{PPWrite: true, PPRead: true, OwnerRead: true, AuthRead: true, NoDA: true, PlatformCreate: true}
		_, err := tpm2.NVDefineSpace{AuthHandle: tpm2.TPMRHPlatform, PublicInfo: tpm2.New2B(tpm2.TPMSNVPublic{
			NVIndex: tpm2.TPMHandle(index), NameAlg: tpm2.TPMAlgSHA256, DataSize: uint16(len(data)), Attributes: attributes,
		})}.Execute(c)
		for at := 0; at < len(data) && err == nil; {
			name, _, nerr := c.NameAt(index, nil) // the Name changed with the first write
			part := data[at:min(at+512, len(data))]
			_, err = tpm2.NVWrite{
				AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHPlatform, Auth: tpm2.PasswordAuth(nil)},
				NVIndex:    tpm2.NamedHandle{Handle: tpm2.TPMHandle(index), Name: tpm2.TPM2BName{Buffer: name}},
				Data:       tpm2.TPM2BMaxNVBuffer{Buffer: part}, Offset: uint16(at),
			}.Execute(c)
			at, err = at+len(part), errors.Join(nerr, err)
		}
		return err
	}
}

// Endorse certifies the endorsement key that the TPM has by default.
func (m *Maker) Endorse(c *tpm.Conn) error {
	id, err := c.Identity()
	if err != nil {
		return err
	}
	certificate, err := m.Certificate(id.Endorsement, EKCertificate)
	if err != nil {
		return err
	}
	return KeepCertificate(ECCCertificate, certificate, 0)(c)
}
