// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"bytes"
	"crypto"
	"encoding/binary"
	"encoding/hex"
	"os"
	"sync"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
	"github.com/digestd/digestd/digestlist/header"
)

// signer is an OpenPGP key and its certificate.
type signer struct {
	entity *openpgp.Entity
	armor  []byte
	secret []byte
	now    func() time.Time // when it signs; nil: now
}

var (
	signersMutex sync.Mutex
	signers      = map[string]*signer{} // shared by tests: keys take time to make
)

func signerOf(name string) (*signer, error) {
	signersMutex.Lock()
	defer signersMutex.Unlock()
	if s := signers[name]; s != nil {
		return s, nil
	}
	config := &packet.Config{DefaultHash: crypto.SHA256, Algorithm: packet.PubKeyAlgoRSA, RSABits: 2048}
	if name == "brief" {
		config.KeyLifetimeSecs = 8
	}
	entity, err := openpgp.NewEntity(name, "", name+"@example.org", config)
	if err != nil {
		return nil, err
	}
	s := &signer{entity: entity}
	var secret bytes.Buffer
	if err := entity.SerializePrivate(&secret, config); err != nil {
		return nil, err
	}
	s.secret = secret.Bytes()
	if s.armor, err = armored(entity); err != nil {
		return nil, err
	}
	signers[name] = s
	return s, nil
}

func armored(entity *openpgp.Entity) ([]byte, error) {
	var buf bytes.Buffer
	w, err := armor.Encode(&buf, openpgp.PublicKeyType, nil)
	if err == nil {
		err = entity.Serialize(w)
	}
	if err == nil {
		err = w.Close()
	}
	return buf.Bytes(), err
}

func (s *signer) fingerprint() string { return hex.EncodeToString(s.entity.PrimaryKey.Fingerprint) }

// revoked returns the certificate with its owner's revocation.
func (s *signer) revoked() ([]byte, error) {
	copied, err := openpgp.ReadEntity(packet.NewReader(bytes.NewReader(s.secret)))
	if err == nil {
		err = copied.Revoke(packet.KeyCompromised, "test", nil)
	}
	if err != nil {
		return nil, err
	}
	return armored(copied)
}

func (s *signer) sign(data []byte) ([]byte, error) {
	var sig bytes.Buffer
	err := openpgp.DetachSign(&sig, []*openpgp.Entity{s.entity}, bytes.NewReader(data), &packet.Config{DefaultHash: crypto.SHA256, Time: s.now})
	return sig.Bytes(), err
}

// headerOf returns the immutable region and the signatures of a package file
// (rpm documentation, "RPM V4 package format").
func (m *machine) headerOf(file string) (region []byte, sigs []header.Signature) {
	m.Helper()
	data, err := os.ReadFile(file)
	m.OK(err)
	const lead, magic = 96, 8
	next := func(at int) (*header.Header, int) {
		at += magic
		size := 8 + 16*int(binary.BigEndian.Uint32(data[at:])) + int(binary.BigEndian.Uint32(data[at+4:]))
		h, err := header.Parse(data[at : at+size])
		m.OK(err)
		return h, at + size
	}
	signature, end := next(lead)
	h, _ := next((end + 7) &^ 7)
	if region, err = h.Immutable(); err != nil {
		m.Fatal(err)
	}
	return region, signature.Signatures()
}
