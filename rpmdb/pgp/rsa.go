// SPDX-License-Identifier: Apache-2.0

package pgp

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"math/big"
	"math/bits"
)

// rsaKey verifies by math/big, in a fraction of the time that crypto/rsa needs for
// the larger keys: that prepares the modulus anew for every signature and keeps to
// constant time, of which a public operation has no use.
type rsaKey struct {
	n, e  *big.Int
	bits  uint // of n
	folds []fold
	mu    *big.Int // 2^(64 left) / n, rounded down
	left  int      // words that the folds leave of a product
}

// fold shortens what is to be reduced modulo n, without changing it modulo n.
type fold struct {
	at int      // words that stay; those above are replaced
	c  *big.Int // by their product with this: 2^(64 at) modulo n
}

func newRSAKey(key *rsa.PublicKey) *rsaKey {
	const (
		folds    = 2 // a third gains nothing even for 4096 bits
		shortest = 8 // words that are worth to be folded away
	)
	words := len(key.N.Bits())
	k := &rsaKey{n: key.N, e: big.NewInt(int64(key.E)), bits: uint(key.N.BitLen()), left: 2 * words}
	power := func(words int) *big.Int { return new(big.Int).Lsh(big.NewInt(1), uint(words)*wordBits) }
	for away := words / 2; away >= shortest && len(k.folds) < folds; away /= 2 {
		at := words + away
		k.folds = append(k.folds, fold{at, new(big.Int).Mod(power(at), key.N)})
		k.left = max(k.left-at+words, at) + 1 // the product, or what stays, and a carry
	}
	k.mu = new(big.Int).Quo(power(k.left), key.N)
	return k
}

const wordBits = bits.UintSize // of a big.Word

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
	var y, product, other, high, low, quotient, scratch big.Int
	y.Set(x)
	below := len(k.n.Bits()) - 1
	// reduce makes y of product: shortened by the folds, then divided by multiplying
	// with mu (Handbook of Applied Cryptography, algorithm 14.42). That takes two
	// thirds of the time of the division that big.Int.Exp does. The quotient may come
	// out too small by two.
	reduce := func() {
		v, next := &product, &other
		for _, f := range k.folds {
			words := v.Bits()
			if len(words) <= f.at {
				continue
			}
			low.SetBits(words[:f.at:f.at]) // which share the memory of v
			high.SetBits(words[f.at:])
			next.Mul(&high, f.c)
			next.Add(next, &low)
			v, next = next, v
		}
		quotient.Rsh(v, uint(below)*wordBits)
		scratch.Mul(&quotient, k.mu)
		quotient.Rsh(&scratch, uint(k.left-below)*wordBits)
		scratch.Mul(&quotient, k.n)
		y.Sub(v, &scratch)
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
