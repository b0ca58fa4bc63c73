// SPDX-License-Identifier: Apache-2.0

package pgp

import (
	"bytes"
	"crypto"
	"crypto/fips140"
	"crypto/rsa"
	"math/big"
)

// rsaKey verifies by math/big, in less than half of the time that crypto/rsa needs for
// the larger keys: that prepares the modulus anew for every signature and keeps to
// constant time, of which a public operation has no use. In FIPS mode crypto/rsa verifies: it
// is part of the module that was validated, and math/big is not.
type rsaKey struct{ n, e *big.Int }

func newRSAKey(key *rsa.PublicKey) *rsaKey { return &rsaKey{key.N, big.NewInt(int64(key.E))} }

// digestInfo holds the DER of AlgorithmIdentifier and the OCTET STRING's head
// that precede the digest in RFC 8017, section 9.2.
var digestInfo = map[crypto.Hash][]byte{
	crypto.SHA1:   []byte("\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14"),
	crypto.SHA224: []byte("\x30\x2d\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x04\x05\x00\x04\x1c"),
	crypto.SHA256: []byte("\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"),
	crypto.SHA384: []byte("\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30"),
	crypto.SHA512: []byte("\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40"),
}

// verify compares the whole encoded message (EMSA-PKCS1-v1_5) with the only one that is
// right, and so has no padding to parse.
func (k *rsaKey) verify(digest []byte, s *signature) bool {
	if fips140.Enabled() {
		return k.verifyInModule(digest, s)
	}
	want := encode(s.hash, digest, (k.n.BitLen()+7)/8)
	sig := new(big.Int).SetBytes(s.rsa)
	if want == nil || sig.Cmp(k.n) >= 0 {
		return false
	}
	got := new(big.Int).Exp(sig, k.e, k.n).FillBytes(make([]byte, len(want)))
	return bytes.Equal(got, want)
}

// verifyInModule does what verify does, by crypto/rsa. A signature in OpenPGP lacks its
// leading zeros.
func (k *rsaKey) verifyInModule(digest []byte, s *signature) bool {
	size := (k.n.BitLen() + 7) / 8
	if len(digest) != s.hash.Size() || len(s.rsa) > size {
		return false
	}
	sig := make([]byte, size)
	copy(sig[size-len(s.rsa):], s.rsa)
	return rsa.VerifyPKCS1v15(&rsa.PublicKey{N: k.n, E: int(k.e.Int64())}, s.hash, digest, sig) == nil
}

// encode returns the encoded message of RFC 8017, section 9.2, of size bytes: the length
// of the modulus. It is nil if there is none for that hash, digest and size.
func encode(hash crypto.Hash, digest []byte, size int) []byte {
	const shortest = 8 // bytes of padding
	info := digestInfo[hash]
	padding := size - 3 - len(info) - len(digest)
	if info == nil || len(digest) != hash.Size() || padding < shortest {
		return nil
	}
	m := append(make([]byte, 0, size), 0, 1)
	m = append(m, bytes.Repeat([]byte{0xff}, padding)...)
	m = append(m, 0)
	m = append(m, info...)
	return append(m, digest...)
}
