// SPDX-License-Identifier: Apache-2.0

package pgp

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	mathrand "math/rand/v2"
	"slices"
	"testing"
)

// TestRSA compares with crypto/rsa, on right signatures and on signatures whose encoded
// message is wrong in one place: the holder of the private key can make these, and so can
// others where the padding is not compared whole.
func TestRSA(t *testing.T) {
	for _, bits := range []int{2048, 2049} {
		private, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		key, size := newRSAKey(&private.PublicKey), private.Size()
		for hash, info := range digestInfo {
			h := hash.New()
			h.Write([]byte("a header"))
			digest := h.Sum(nil)
			check := func(name string, sig, digest []byte, want bool) {
				t.Helper()
				std := rsa.VerifyPKCS1v15(&private.PublicKey, hash, digest, slices.Concat(make([]byte, max(0, size-len(sig))), sig)) == nil
				if got := key.verify(digest, &signature{hash: hash, rsa: sig}); got != want || std != want {
					t.Errorf("%d bits, %v, %s: got %v, crypto/rsa %v, want %v", bits, hash, name, got, std, want)
				}
				if got := key.verifyInModule(digest, &signature{hash: hash, rsa: sig}); got != want {
					t.Errorf("%d bits, %v, %s: in FIPS mode got %v, want %v", bits, hash, name, got, want)
				}
			}
			right, err := rsa.SignPKCS1v15(nil, private, hash, digest)
			if err != nil {
				t.Fatal(err)
			}
			check("right", right, digest, true)
			check("without leading zeros", bytes.TrimLeft(right, "\x00"), digest, true)
			// sign makes a signature whose encoded message is m.
			sign := func(m []byte) []byte {
				return new(big.Int).Exp(new(big.Int).SetBytes(m), private.D, private.N).FillBytes(make([]byte, size))
			}
			message := encode(hash, digest, size)
			if !bytes.Equal(sign(message), right) {
				t.Fatalf("%d bits, %v: encoded message %x", bits, hash, message)
			}
			for at := 1; at < size; at += 1 + size/8 {
				m := bytes.Clone(message)
				m[at] ^= 1
				check("one bit of the message", sign(m), digest, false)
			}
			// The padding ends early, and what follows the digest is free to choose.
			short := slices.Concat([]byte{0, 1}, bytes.Repeat([]byte{0xff}, 8), []byte{0}, info, digest)
			check("garbage behind", sign(append(short, make([]byte, size-len(short))...)), digest, false)
			if above := new(big.Int).Add(new(big.Int).SetBytes(right), private.N); above.BitLen() <= 8*size {
				check("not below the modulus", above.Bytes(), digest, false)
			}
			for _, length := range []int{0, 1, len(digest) - 1} {
				if s := (&signature{hash: hash, rsa: right}); key.verify(digest[:length], s) || key.verifyInModule(digest[:length], s) {
					t.Errorf("a digest of %d bytes passes", length)
				}
			}
		}
		for name, sig := range map[string][]byte{"none": nil, "zero": make([]byte, size), "one": {1}, "modulus": private.N.Bytes(), "long": bytes.Repeat([]byte{0xff}, 2*size)} {
			if s := (&signature{hash: crypto.SHA256, rsa: sig}); key.verify(make([]byte, 32), s) || key.verifyInModule(make([]byte, 32), s) {
				t.Errorf("%s passes", name)
			}
		}
		if key.verify(make([]byte, 16), &signature{hash: crypto.MD5, rsa: []byte{1}}) {
			t.Error("MD5 passes")
		}
	}
	if m := encode(crypto.SHA512, make([]byte, 64), 3+19+64+7); m != nil {
		t.Errorf("seven bytes of padding: %x", m)
	}
}

// TestExponentiate compares with math/big's Exp: for moduli at the ends of their length, where the
// reciprocal is least exact, and for others; for signatures at both ends, and for others.
func TestExponentiate(t *testing.T) {
	one := big.NewInt(1)
	random := mathrand.New(mathrand.NewPCG(1, 2))
	below := func(n *big.Int) *big.Int {
		b := make([]byte, (n.BitLen()+7)/8)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return new(big.Int).Mod(new(big.Int).SetBytes(b), n)
	}
	w := new(rsaWork)
	for _, bits := range []uint{2, 3, 8, 63, 64, 65, 128, 1000, 2048, 2049, 4096} {
		end := new(big.Int).Lsh(one, bits)
		first := new(big.Int).Rsh(end, 1)
		moduli := []*big.Int{first, new(big.Int).Add(first, one), new(big.Int).Sub(end, one)}
		for range 20 {
			moduli = append(moduli, new(big.Int).Add(first, below(first)))
		}
		for _, n := range moduli {
			for _, e := range []int{1, 2, 3, 17, 65537, 1<<31 - 1} {
				k := newRSAKey(&rsa.PublicKey{N: n, E: e})
				for _, s := range []*big.Int{new(big.Int), one, new(big.Int).Sub(n, one), below(n)} {
					w.sig.Set(s)
					k.exponentiate(w)
					if want := new(big.Int).Exp(s, big.NewInt(int64(e)), n); w.power.Cmp(want) != 0 {
						t.Fatalf("%v^%d mod %v is %v, not %v", s, e, n, &w.power, want)
					}
				}
			}
		}
	}
}

func BenchmarkRSA4096(b *testing.B) {
	n := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 4096), big.NewInt(17))
	k := newRSAKey(&rsa.PublicKey{N: n, E: 65537})
	s := &signature{hash: crypto.SHA256, rsa: new(big.Int).Rsh(n, 1).Bytes()}
	for b.Loop() {
		k.verify(make([]byte, 32), s)
	}
}
