// SPDX-License-Identifier: Apache-2.0

package pgp

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"math/big"
)

// rsaKey verifies by math/big, in a fraction of the time that crypto/rsa needs for
// the larger keys: that prepares the modulus anew for every signature and keeps to
// constant time, of which a public operation has no use.
type rsaKey struct {
	n, e *big.Int
	mu   *big.Int // 4^bits / n, rounded down
	bits uint     // of n
}

func newRSAKey(key *rsa.PublicKey) *rsaKey {
	bits := uint(key.N.BitLen())
	mu := new(big.Int).Lsh(big.NewInt(1), 2*bits)
	return &rsaKey{n: key.N, e: big.NewInt(int64(key.E)), mu: mu.Quo(mu, key.N), bits: bits}
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

// verify compares the whole encoded message with the only one that is right, and
// so has no padding to parse.
func (k *rsaKey) verify(digest []byte, s *signature) bool {
	prefix := digestInfo[s.hash]
	size := int(k.bits+7) / 8
	padding := size - 3 - len(prefix) - len(digest)
	sig := new(big.Int).SetBytes(s.rsa)
	if prefix == nil || padding < 8 || sig.Cmp(k.n) >= 0 {
		return false
	}
	want := make([]byte, 0, size)
	want = append(want, 0, 1)
	for range padding {
		want = append(want, 0xff)
	}
	want = append(want, 0)
	want = append(want, prefix...)
	want = append(want, digest...)
	got := k.power(sig).FillBytes(make([]byte, size))
	return bytes.Equal(got, want)
}

// power returns x to the power of the public exponent, modulo n; x < n.
func (k *rsaKey) power(x *big.Int) *big.Int {
	const fermat, squarings = 1<<16 + 1, 16
	if k.e.Cmp(big.NewInt(fermat)) != 0 {
		return new(big.Int).Exp(x, k.e, k.n)
	}
	var y, product, quotient, scratch big.Int
	y.Set(x)
	// reduce divides product by multiplying with mu (Handbook of Applied
	// Cryptography, algorithm 14.42): a third faster than the division that
	// big.Int.Exp does. The quotient may come out too small by two.
	reduce := func() {
		const guard = 64
		quotient.Rsh(&product, k.bits-guard)
		scratch.Mul(&quotient, k.mu)
		quotient.Rsh(&scratch, k.bits+guard)
		scratch.Mul(&quotient, k.n)
		y.Sub(&product, &scratch)
		for y.Cmp(k.n) >= 0 {
			y.Sub(&y, k.n)
		}
	}
	for range squarings {
		product.Mul(&y, &y)
		reduce()
	}
	product.Mul(&y, x)
	reduce()
	return &y
}
