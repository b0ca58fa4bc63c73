// SPDX-License-Identifier: Apache-2.0

package pgp

import (
	"crypto"
	"sync"
)

// Remembering returns c with keys that remember which signatures they have verified, for tests
// that verify a few headers a million times. The memory is unbounded.
func (c *Cert) Remembering() *Cert {
	again := *c
	again.facts = c.facts.clone()
	remember := func(k *keyFact) {
		if k.material != nil {
			k.material = &remembering{material: k.material}
		}
	}
	remember(&again.facts.primary)
	for i := range again.facts.subkeys {
		remember(&again.facts.subkeys[i].key)
	}
	return &again
}

// remembering is a key that remembers.
type remembering struct {
	material
	good sync.Map // of what signedBy returns
}

type signedBy struct {
	hash                      crypto.Hash
	digest, rsa, r, s, native string
}

func (m *remembering) verify(digest []byte, s *signature) bool {
	by := signedBy{s.hash, string(digest), string(s.rsa), string(s.r), string(s.s), string(s.native)}
	if _, known := m.good.Load(by); known {
		return true
	}
	good := m.material.verify(digest, s)
	if good && by.rsa+by.r+by.native != "" {
		m.good.Store(by, nil)
	}
	return good
}
