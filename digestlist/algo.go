// SPDX-License-Identifier: Apache-2.0

package digestlist

import (
	"crypto"
	_ "crypto/sha256" // which Hash returns
	_ "crypto/sha512"
	"strconv"
)

// Algo is a digest algorithm, by its number in the kernel (enum hash_algo,
// include/uapi/linux/hash_info.h).
type Algo uint16

// The algorithms of lists, and the broken ones.
const (
	MD5    Algo = 1
	SHA1   Algo = 2
	SHA256 Algo = 4
	SHA384 Algo = 5
	SHA512 Algo = 6
	SHA224 Algo = 7
)

// algos lists all that the kernel numbers, in its order.
var algos = [...]struct {
	name string
	size int
}{
	{"md4", 16}, {"md5", 16}, {"sha1", 20}, {"rmd160", 20},
	{"sha256", 32}, {"sha384", 48}, {"sha512", 64}, {"sha224", 28},
	{"rmd128", 16}, {"rmd256", 32}, {"rmd320", 40},
	{"wp256", 32}, {"wp384", 48}, {"wp512", 64},
	{"tgr128", 16}, {"tgr160", 20}, {"tgr192", 24},
	{"sm3", 32}, {"streebog256", 32}, {"streebog512", 64},
	{"sha3-256", 32}, {"sha3-384", 48}, {"sha3-512", 64},
}

// Size returns the length of a digest in bytes, 0 if the kernel has no such algorithm.
func (a Algo) Size() int {
	if int(a) < len(algos) {
		return algos[a].size
	}
	return 0
}

// String returns the kernel's name of the algorithm.
func (a Algo) String() string {
	if int(a) < len(algos) {
		return algos[a].name
	}
	return "algorithm " + strconv.Itoa(int(a))
}

// Hash returns the implementation of the algorithm, or 0 if new lists may not use the algorithm.
func (a Algo) Hash() crypto.Hash {
	switch a {
	case SHA224:
		return crypto.SHA224
	case SHA256:
		return crypto.SHA256
	case SHA384:
		return crypto.SHA384
	case SHA512:
		return crypto.SHA512
	}
	return 0
}

// strong reports whether new lists may use a.
func (a Algo) strong() bool { return a.Hash() != 0 }

// AlgoFromPGP returns the algorithm with OpenPGP's number id (RFC 9580, 9.5), which rpm headers
// use.
func AlgoFromPGP(id uint32) (Algo, bool) {
	switch id {
	case 1:
		return MD5, true
	case 2:
		return SHA1, true
	case 8:
		return SHA256, true
	case 9:
		return SHA384, true
	case 10:
		return SHA512, true
	case 11:
		return SHA224, true
	}
	return 0, false
}
