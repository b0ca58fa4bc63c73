// SPDX-License-Identifier: Apache-2.0

package pkgtest

import (
	"crypto/sha256"
	"fmt"
	"math/big"
	"math/rand/v2"
	"sync"
)

// steps contains, for the keys that tests often use, how many odd numbers lie between the start
// of the search for each of its two primes and the prime. The search takes longer than most tests
// that use a key, and each test program needs one.
var steps = map[string][2]int64{
	"key vendor 2048":       {116, 1049},
	"key stranger 2048":     {422, 121},
	"key owner 2048":        {87, 7},
	"key other 2048":        {162, 120},
	"key next 2048":         {60, 19},
	"key another 2048":      {172, 509},
	"key nobody 2048":       {63, 777},
	"key stolen 2048":       {177, 5},
	"key Vendor 2048":       {530, 480},
	"key Odd 2048":          {68, 864},
	"key databases 2048":    {51, 574},
	"key distribution 2048": {127, 313},
	"key fleet 2048":        {1062, 361},
	"key vendor 3072":       {134, 208},
	"key Distribution 3072": {929, 212},
	"key distribution 4096": {532, 1},
	"key sim A 2048":        {215, 286},
	"key sim B 2048":        {905, 284},
	"key sim C 2048":        {254, 338},
	"subkey sim A 2048":     {23, 44},
	"subkey sim B 2048":     {169, 224},
	"subkey sim C 2048":     {293, 104},
	"subkey vendor 2048":    {38, 355},
}

// primesOf returns the two primes of a key.
func primesOf(key string, bits int) []*big.Int {
	name := fmt.Sprintf("%s %d", key, bits)
	made, _ := primes.LoadOrStore(name, sync.OnceValue(func() []*big.Int {
		random := rand.NewChaCha8(sha256.Sum256([]byte("digestd test " + name)))
		known := steps[name]
		return []*big.Int{prime(random, bits/2, known[0]), prime(random, bits-bits/2, known[1])}
	}))
	return made.(func() []*big.Int)()
}

var primes sync.Map // what primesOf found

// prime returns a prime whose two highest bits are set, so that the product of
// two has as many bits as both together. The first odd numbers, as many as known says, are
// passed over.
func prime(random *rand.ChaCha8, bits int, known int64) *big.Int {
	buf := make([]byte, (bits+7)/8)
	random.Read(buf)
	p := new(big.Int).SetBytes(buf)
	p.SetBit(p, bits, 0)
	for i := len(buf)*8 - 1; i >= bits; i-- {
		p.SetBit(p, i, 0)
	}
	p.SetBit(p, bits-1, 1).SetBit(p, bits-2, 1).SetBit(p, 0, 1)
	p.Add(p, big.NewInt(2*known))
	for two := big.NewInt(2); !p.ProbablyPrime(0); {
		p.Add(p, two)
	}
	return p
}
