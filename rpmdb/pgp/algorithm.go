// SPDX-License-Identifier: Apache-2.0

package pgp

import (
	"crypto"
	"crypto/rsa"
	_ "crypto/sha1" // hashByID promises that these are there
	_ "crypto/sha256"
	_ "crypto/sha512"
	"fmt"
	"strconv"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Hash algorithm identifiers of RFC 9580, section 9.5.
const (
	hashMD5    = 1
	hashSHA1   = 2
	hashSHA256 = 8
	hashSHA384 = 9
	hashSHA512 = 10
	hashSHA224 = 11
)

// hashByID knows the algorithms that may vouch, and SHA-1, which [Options] may
// let through.
func hashByID(id byte) (crypto.Hash, bool) {
	switch id {
	case hashSHA1:
		return crypto.SHA1, true
	case hashSHA224:
		return crypto.SHA224, true
	case hashSHA256:
		return crypto.SHA256, true
	case hashSHA384:
		return crypto.SHA384, true
	case hashSHA512:
		return crypto.SHA512, true
	}
	return 0, false
}

func hashName(id byte) string {
	if id == hashMD5 {
		return "MD5"
	}
	if h, ok := hashByID(id); ok {
		return h.String()
	}
	return "hash algorithm " + strconv.Itoa(int(id))
}

// The sizes of RSA keys that are accepted. Below, a factorisation is within reach; above, a
// single check takes long enough to be a burden.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// describe returns what a key is called and why no signature of it may vouch,
// "" if it may.
func describe(pk *packet.PublicKey) (name, weak string) {
	switch pk.PubKeyAlgo {
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly:
		key, ok := pk.PublicKey.(*rsa.PublicKey)
		if !ok {
			return "rsa", "RSA key cannot be read"
		}
		bits := key.N.BitLen()
		name = "rsa" + strconv.Itoa(bits)
		switch {
		case bits < minRSABits:
			weak = fmt.Sprintf("RSA key of %d bits is too short, %d are needed", bits, minRSABits)
		case bits > maxRSABits:
			weak = fmt.Sprintf("RSA key of %d bits is too long, %d are possible", bits, maxRSABits)
		case key.N.Bit(0) == 0 || key.E&1 == 0 || key.E < 3:
			weak = "RSA key is not well formed"
		}
		return name, weak
	case packet.PubKeyAlgoDSA:
		bits, _ := pk.BitLength()
		return "dsa" + strconv.Itoa(int(bits)), "DSA keys are not accepted"
	case packet.PubKeyAlgoECDSA:
		return describeCurve(pk)
	case packet.PubKeyAlgoEdDSA:
		if curve, _ := pk.Curve(); curve != packet.Curve25519 || pk.Version != 4 {
			return "eddsa", "EdDSA key is not over Ed25519"
		}
		return "ed25519", ""
	case packet.PubKeyAlgoEd25519:
		return "ed25519", ""
	case packet.PubKeyAlgoEd448:
		return "ed448", ""
	case packet.PubKeyAlgoMldsa65Ed25519:
		return "mldsa65-ed25519", ""
	case packet.PubKeyAlgoMldsa87Ed448:
		return "mldsa87-ed448", ""
	case packet.PubKeyAlgoSlhdsaShake128s:
		return "slhdsa-shake128s", ""
	case packet.PubKeyAlgoSlhdsaShake128f:
		return "slhdsa-shake128f", ""
	case packet.PubKeyAlgoSlhdsaShake256s:
		return "slhdsa-shake256s", ""
	}
	return algorithmName(byte(pk.PubKeyAlgo)), algorithmName(byte(pk.PubKeyAlgo)) + " is not for signing"
}

func describeCurve(pk *packet.PublicKey) (name, weak string) {
	switch curve, _ := pk.Curve(); curve {
	case packet.CurveNistP256:
		return "nistp256", ""
	case packet.CurveNistP384:
		return "nistp384", ""
	case packet.CurveNistP521:
		return "nistp521", ""
	default:
		return string(curve), fmt.Sprintf("curve %s is not accepted", curve)
	}
}

// work is about how long the library takes to verify a signature of pk; 1 is well
// below a millisecond.
func work(pk *packet.PublicKey) int {
	if key, ok := pk.PublicKey.(*rsa.PublicKey); ok {
		times := max(1, key.N.BitLen()/minRSABits)
		return times * times
	}
	switch curve, _ := pk.Curve(); curve {
	case packet.CurveNistP384:
		return 4
	case packet.CurveNistP521:
		return 16
	}
	return 1
}

// algorithmName names a public-key algorithm without its parameters.
func algorithmName(id byte) string {
	switch packet.PublicKeyAlgorithm(id) {
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly, packet.PubKeyAlgoRSAEncryptOnly:
		return "rsa"
	case packet.PubKeyAlgoDSA:
		return "dsa"
	case packet.PubKeyAlgoElGamal:
		return "elgamal"
	case packet.PubKeyAlgoECDSA:
		return "ecdsa"
	case packet.PubKeyAlgoECDH:
		return "ecdh"
	case packet.PubKeyAlgoEdDSA:
		return "eddsa"
	}
	return "algorithm " + strconv.Itoa(int(id))
}
