// SPDX-License-Identifier: Apache-2.0

package pgp

import (
	"crypto/rsa"
	"math/big"
	"math/rand/v2"
	"testing"
)

// TestPower compares with math/big's own exponentiation: moduli of lengths that are
// multiples of a word, and that are not, the extreme ones of each length, and bases
// at both ends.
func TestPower(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	number := func(bits int) *big.Int {
		n := new(big.Int)
		for range (bits + 63) / 64 {
			n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(random.Uint64()))
		}
		return n.Rsh(n, uint(n.BitLen()-min(bits, n.BitLen())))
	}
	one := big.NewInt(1)
	lengths := []int{1024, 2048, 3072, 4096}
	for bits := 1000; bits <= 4200; bits += 37 {
		lengths = append(lengths, bits)
	}
	for _, bits := range lengths {
		lowest := new(big.Int).Lsh(one, uint(bits-1))
		highest := new(big.Int).Sub(new(big.Int).Lsh(one, uint(bits)), one)
		random := number(bits)
		random.SetBit(random, bits-1, 1)
		for _, n := range []*big.Int{lowest, new(big.Int).Add(lowest, one), highest, random} {
			for _, e := range []int{3, 17, 65537} {
				k := newRSAKey(&rsa.PublicKey{N: n, E: e})
				less := new(big.Int).Sub(n, one)
				for _, x := range []*big.Int{new(big.Int), one, big.NewInt(2), less, new(big.Int).Rsh(n, 1), number(bits - 1)} {
					want := new(big.Int).Exp(x, big.NewInt(int64(e)), n)
					if got := k.power(x); got.Cmp(want) != 0 {
						t.Fatalf("%v to the power of %d modulo %v = %v, want %v", x, e, n, got, want)
					}
				}
			}
		}
	}
}

func BenchmarkPower4096(b *testing.B) {
	random := rand.New(rand.NewPCG(3, 4))
	n := new(big.Int)
	for range 64 {
		n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(random.Uint64()|1<<63))
	}
	k := newRSAKey(&rsa.PublicKey{N: n, E: 65537})
	x := new(big.Int).Rsh(n, 1)
	for b.Loop() {
		k.power(x)
	}
}
