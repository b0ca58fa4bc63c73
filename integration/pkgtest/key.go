// SPDX-License-Identifier: Apache-2.0

package pkgtest

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// Epoch is when all keys and signatures of this package were made.
var Epoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// Key is an OpenPGP key, version 4, RSA, without subkeys: what distributions
// sign with. It may be used concurrently.
type Key struct {
	Owner string
	Armor []byte // the certificate

	entity *openpgp.Entity
	config packet.Config
}

// NewKey returns the key of that owner with a modulus of so many bits. The same
// owner always has the same key, and its signatures are the same too, so that
// databases and packages are; whoever reads this can sign with it. 4096 bits
// take some seconds, once in a process.
func NewKey(owner string, bits int) (*Key, error) {
	type id struct {
		owner string
		bits  int
	}
	made, _ := keys.LoadOrStore(id{owner, bits}, sync.OnceValues(func() (*Key, error) { return makeKey(owner, bits) }))
	return made.(func() (*Key, error))()
}

var keys sync.Map // what NewKey made, by owner and bits

func makeKey(owner string, bits int) (*Key, error) {
	random := rand.NewChaCha8(sha256.Sum256(fmt.Appendf(nil, "digestd test key %s %d", owner, bits)))
	p, q := prime(random, bits/2), prime(random, bits-bits/2)
	salted := false
	k := &Key{Owner: owner, config: packet.Config{
		DefaultHash: crypto.SHA256, Algorithm: packet.PubKeyAlgoRSA, RSABits: bits,
		Time:      func() time.Time { return Epoch },
		RSAPrimes: []*big.Int{p, q, p, q}, // the second pair is for the subkey, which goes

		NonDeterministicSignaturesViaNotation: &salted,
	}}
	var err error
	if k.entity, err = openpgp.NewEntity(owner, "", owner+"@example.org", &k.config); err != nil {
		return nil, fmt.Errorf("cannot make key of %s: %w", owner, err)
	}
	k.entity.Subkeys = nil
	var buf bytes.Buffer
	w, err := armor.Encode(&buf, openpgp.PublicKeyType, nil)
	if err == nil {
		err = k.entity.Serialize(w)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot write key of %s: %w", owner, err)
	}
	k.Armor = buf.Bytes()
	return k, nil
}

// Fingerprint returns the key's, in hexadecimal digits.
func (k *Key) Fingerprint() string { return hex.EncodeToString(k.entity.PrimaryKey.Fingerprint) }

// prime returns a prime whose two highest bits are set, so that the product of
// two has as many bits as both together.
func prime(random *rand.ChaCha8, bits int) *big.Int {
	buf := make([]byte, (bits+7)/8)
	random.Read(buf)
	p := new(big.Int).SetBytes(buf)
	p.SetBit(p, bits, 0)
	for i := len(buf)*8 - 1; i >= bits; i-- {
		p.SetBit(p, i, 0)
	}
	p.SetBit(p, bits-1, 1).SetBit(p, bits-2, 1).SetBit(p, 0, 1)
	for two := big.NewInt(2); !p.ProbablyPrime(0); {
		p.Add(p, two)
	}
	return p
}

// Sign returns a detached signature, version 4, binary, over data.
func (k *Key) Sign(data []byte) ([]byte, error) {
	config := k.config
	var sig bytes.Buffer
	if err := openpgp.DetachSign(&sig, []*openpgp.Entity{k.entity}, bytes.NewReader(data), &config); err != nil {
		return nil, fmt.Errorf("cannot sign with key of %s: %w", k.Owner, err)
	}
	return sig.Bytes(), nil
}

// SignV3 returns a detached signature, version 3, binary, over data (RFC 4880, section
// 5.2.2). The OpenPGP library makes none.
func (k *Key) SignV3(data []byte) ([]byte, error) {
	private, ok := k.entity.PrivateKey.PrivateKey.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("cannot sign with key of %s: it is a %T", k.Owner, k.entity.PrivateKey.PrivateKey)
	}
	hashed := binary.BigEndian.AppendUint32([]byte{0}, uint32(Epoch.Unix())) // binary, when
	digest := sha256.Sum256(append(bytes.Clone(data), hashed...))
	value, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, digest[:])
	if err != nil {
		return nil, fmt.Errorf("cannot sign with key of %s: %w", k.Owner, err)
	}
	n := new(big.Int).SetBytes(value)
	body := append([]byte{3, byte(len(hashed))}, hashed...)
	body = binary.BigEndian.AppendUint64(body, k.entity.PrimaryKey.KeyId)
	body = append(body, byte(packet.PubKeyAlgoRSA), 8, digest[0], digest[1]) // 8: SHA-256
	body = binary.BigEndian.AppendUint16(body, uint16(n.BitLen()))
	body = append(body, n.Bytes()...)
	return append(binary.BigEndian.AppendUint16([]byte{0x89}, uint16(len(body))), body...), nil
}
