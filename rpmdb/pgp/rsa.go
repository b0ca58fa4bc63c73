// SPDX-License-Identifier: Apache-2.0

package pgp

import (
	"bytes"
	"crypto"
	"crypto/fips140"
	"crypto/rsa"
	"math/big"
	"sync"
)

// rsaKey verifies by math/big, in a quarter of the time that crypto/rsa needs for the larger
// keys: that prepares the modulus anew for every signature and keeps to constant time, of
// which a public operation has no use. In FIPS mode crypto/rsa verifies: it is part of the
// module that was validated, and math/big is not.
type rsaKey struct {
	n, e       *big.Int
	reciprocal *big.Int // of n, times 2^(2*bits), rounded down
	bits       uint     // length of n
}

func newRSAKey(key *rsa.PublicKey) *rsaKey {
	k := &rsaKey{n: key.N, e: big.NewInt(int64(key.E)), bits: uint(key.N.BitLen())}
	k.reciprocal = new(big.Int).Lsh(big.NewInt(1), 2*k.bits)
	k.reciprocal.Quo(k.reciprocal, k.n)
	return k
}

// rsaWork is the memory of one verification, which others use after it.
type rsaWork struct{ sig, power, product, quotient, scratch big.Int }

var rsaWorks = sync.Pool{New: func() any { return new(rsaWork) }}

// exponentiate sets w.power to w.sig^e mod n. Exp of math/big, which divides by n after each step,
// takes longer by a third and makes garbage.
func (k *rsaKey) exponentiate(w *rsaWork) {
	w.power.Set(&w.sig)
	for bit := k.e.BitLen() - 2; bit >= 0; bit-- {
		w.product.Mul(&w.power, &w.power)
		k.reduce(w)
		if k.e.Bit(bit) == 1 {
			w.product.Mul(&w.power, &w.sig)
			k.reduce(w)
		}
	}
}

// reduce sets w.power to w.product mod n, where w.product is below n². It multiplies by the
// reciprocal instead of dividing (Barrett; Handbook of Applied Cryptography, 14.42): the
// quotient is too small by 2 at most.
func (k *rsaKey) reduce(w *rsaWork) {
	w.quotient.Rsh(&w.product, k.bits-1)
	w.scratch.Mul(&w.quotient, k.reciprocal)
	w.quotient.Rsh(&w.scratch, k.bits+1)
	w.scratch.Mul(&w.quotient, k.n)
	w.power.Sub(&w.product, &w.scratch)
	for w.power.Cmp(k.n) >= 0 {
		w.power.Sub(&w.power, k.n)
	}
}

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
	w := rsaWorks.Get().(*rsaWork)
	defer rsaWorks.Put(w)
	if want == nil || len(s.rsa) > len(want) || w.sig.SetBytes(s.rsa).Cmp(k.n) >= 0 {
		return false
	}
	k.exponentiate(w)
	return w.power.Cmp(w.quotient.SetBytes(want)) == 0
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
