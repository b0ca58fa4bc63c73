// SPDX-License-Identifier: Apache-2.0

package digestlist

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"slices"
	"testing"
)

// TestCertificates: the certificates of a PEM file come in their order, up to the first that
// cannot be parsed.
func TestCertificates(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certificate := func(serial int64) []byte {
		template := &x509.Certificate{SerialNumber: big.NewInt(serial)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	block := func(kind string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	one, two := certificate(1), certificate(2)
	for name, test := range map[string]struct {
		data []byte
		want []int64
		bad  bool
	}{
		"empty":         {},
		"DER":           {data: one},
		"two":           {data: slices.Concat(block("CERTIFICATE", one), block("CERTIFICATE", two)), want: []int64{1, 2}},
		"text, a key":   {data: slices.Concat([]byte("subject=x\n"), block("PUBLIC KEY", one), block("CERTIFICATE", two)), want: []int64{2}},
		"a damaged one": {data: slices.Concat(block("CERTIFICATE", one), block("CERTIFICATE", two[:len(two)-1]), block("CERTIFICATE", two)), want: []int64{1}, bad: true},
	} {
		certs, err := Certificates(test.data)
		var got []int64
		for _, c := range certs {
			got = append(got, c.SerialNumber.Int64())
		}
		if !slices.Equal(got, test.want) || (err != nil) != test.bad {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if certs, _ := Certificates(block("CERTIFICATE", one)); len(certs) != 1 || !bytes.Equal(certs[0].Raw, one) {
		t.Errorf("%v", certs)
	}
}
