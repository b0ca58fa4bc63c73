// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/hex"
	"encoding/pem"
	"testing"

	"github.com/digestd/digestd/daemon/signer"
)

// tpmFile is a key that swtpm made, with the public key of its certificate.
const tpmFile = `-----BEGIN TSS2 PRIVATE KEY-----
MIHyBgZngQUKAQOgAwEB/wIEQAAAAQRaAFgAIwALAAQEcgAAABAAGAALAAMAEAAg
Hy2rfYitSRAFrZd8CLo5oDTb+uU53YV4l4yJ27OOvJYAIPI/RpS3c7HrpxMJZFDj
9hTpfdf7zfQ/vbf+f2hHtuuPBIGAAH4AIAihKwNBG3pt8NQ1tBiEaN9F377PoaqW
uy9AOcibzIB3ABB9cOP2ucn1v3iXSwkCeGapz42AEadH91stZBcgFXuKs24O8NES
qDBL8YmnJFJwuKEklQbxbzQ521mKO08tCNq+5Sa2dZZjhvSsiFtzU0966Y+oQlVQ
2TdZMEA=
-----END TSS2 PRIVATE KEY-----
`

const tpmPoint = "04" +
	"1f2dab7d88ad491005ad977c08ba39a034dbfae539dd8578978c89dbb38ebc96" +
	"f23f4694b773b1eba713096450e3f614e97dd7fbcdf43fbdb7fe7f6847b6eb8f"

// FuzzLoad: the file of a key may have become anything; what is loaded is for the
// public key that was asked for.
func FuzzLoad(f *testing.F) {
	block, _ := pem.Decode([]byte(tpmFile))
	point, err := hex.DecodeString(tpmPoint)
	if err != nil {
		f.Fatal(err)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := signer.Load([]byte(tpmFile), public); err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(tpmFile))
	f.Add(block.Bytes)
	f.Add([]byte("pkcs11:token=a;object=b;id=%01?module-path=/m.so&pin-source=file:/p\n"))
	pkcs8, _, err := signer.Create(f.Context(), "")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pkcs8)
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, data := range [][]byte{file, pem.EncodeToMemory(&pem.Block{Type: "TSS2 PRIVATE KEY", Bytes: file})} {
			s, err := signer.Load(data, public)
			if err != nil {
				continue
			}
			if !public.Equal(s.Public()) {
				t.Errorf("%q is loaded as another key", data)
			}
			s.Close()
		}
	})
}

// FuzzPlace: a place that is taken is taken again.
func FuzzPlace(f *testing.F) {
	for _, where := range []string{"", "tpm:", "tpm:device=/dev/tpm0;parent=0x81000001", "pkcs11:token=a;object=b?module-path=/m.so&pin-source=file:/p", "tpm:;="} {
		f.Add(where)
	}
	f.Fuzz(func(t *testing.T, where string) {
		if err := signer.CheckPlace(where); err == nil && len(where) > 4096 {
			t.Errorf("a place of %d bytes is taken", len(where))
		}
	})
}
