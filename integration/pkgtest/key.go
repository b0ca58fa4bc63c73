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
	"slices"
	"sync"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// Epoch is when all keys and signatures of this package were made.
var Epoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// Key is an OpenPGP key, version 4, RSA: what distributions sign with. It may be used
// concurrently.
type Key struct {
	Owner string
	Armor []byte // the certificate

	entity   *openpgp.Entity
	config   packet.Config
	bySubkey bool
}

// Form is what the certificate of a key says besides who owns it. The zero Form is a key
// without subkeys that does not expire.
type Form struct {
	Subkey   bool          // it has a subkey that signs
	Lifetime time.Duration // of the primary key, since Epoch, in whole seconds; 0: for ever
	Revoked  bool          // its subkey is revoked as compromised
}

// NewKey returns the key of that owner with a modulus of so many bits. The same
// owner always has the same key, and its signatures are the same too, so that
// databases and packages are; every reader of this file can sign with it. A key that
// is not in the table of steps takes a moment, once in a process.
func NewKey(owner string, bits int) (*Key, error) { return NewKeyIn(Form{}, owner, bits) }

// NewKeyIn returns that key with a certificate of another form.
func NewKeyIn(f Form, owner string, bits int) (*Key, error) {
	type id struct {
		form  Form
		owner string
		bits  int
	}
	made, _ := keys.LoadOrStore(id{f, owner, bits}, sync.OnceValues(func() (*Key, error) { return makeKey(f, owner, bits) }))
	return made.(func() (*Key, error))()
}

var keys sync.Map // what NewKeyIn made, by form, owner and bits

func makeKey(f Form, owner string, bits int) (*Key, error) {
	two := primesOf("key "+owner, bits)
	all := slices.Concat(two, two) // the second pair is for a subkey that encrypts, which goes
	if f.Subkey {
		all = append(all, primesOf("subkey "+owner, bits)...)
	}
	salted := false
	k := &Key{Owner: owner, config: packet.Config{
		DefaultHash: crypto.SHA256, Algorithm: packet.PubKeyAlgoRSA, RSABits: bits,
		Time:            func() time.Time { return Epoch },
		RSAPrimes:       all,
		KeyLifetimeSecs: uint32(f.Lifetime / time.Second),

		NonDeterministicSignaturesViaNotation: &salted,
	}}
	var err error
	if k.entity, err = openpgp.NewEntity(owner, "", owner+"@example.org", &k.config); err != nil {
		return nil, fmt.Errorf("cannot make key of %s: %w", owner, err)
	}
	k.entity.Subkeys = nil
	k.config.KeyLifetimeSecs = 0
	if f.Subkey {
		err = k.entity.AddSigningSubkey(&k.config)
		if err == nil && f.Revoked {
			err = k.entity.Subkeys[0].Revoke(packet.KeyCompromised, "lost", &k.config)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot make subkey of %s: %w", owner, err)
		}
	}
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

// Fingerprint returns that of the key that signs, in hexadecimal digits.
func (k *Key) Fingerprint() string { return hex.EncodeToString(k.signing().Fingerprint) }

func (k *Key) signing() *packet.PublicKey {
	if k.bySubkey {
		return k.entity.Subkeys[0].PublicKey
	}
	return k.entity.PrimaryKey
}

// Subkey returns k as a key that signs by its subkey.
func (k *Key) Subkey() *Key {
	sub := *k
	sub.bySubkey = true
	return &sub
}

// Sign returns a detached signature, version 4, binary, over data.
func (k *Key) Sign(data []byte) ([]byte, error) {
	config := k.config
	config.SigningKeyId = k.signing().KeyId
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
