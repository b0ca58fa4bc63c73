// SPDX-License-Identifier: Apache-2.0

package pgp

import (
	"cmp"
	"crypto/fips140"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options change what a Keyring accepts. The zero value is the default.
type Options struct {
	// AllowSHA1 lets SHA-1 vouch: in the signatures of headers, as some packages
	// up to 2020 have them, and in the bindings of signing subkeys.
	AllowSHA1 bool

	// NoExpired makes an expired key vouch for nothing, not even for what it signed before. By
	// default it does, because packages outlive keys.
	NoExpired bool

	// FIPS lets only algorithms of Go's module for FIPS 140-3 vouch: RSA, ECDSA over the curves
	// of NIST, Ed25519, and SHA-2. It overrules AllowSHA1. NewKeyring sets it if the program
	// runs in FIPS mode.
	FIPS bool

	// Revoked has revocations from outside of the certificates, by the fingerprint of a
	// certificate or a subkey, in lower case.
	Revoked map[string]*Revocation

	// Overruled has the revocations that cannot be verified and that an administrator overruled,
	// by their Unread.Digest.
	Overruled map[string]bool
}

// Keyring is an immutable set of trusted certificates, ready to verify with. Several goroutines
// may use it.
type Keyring struct {
	options Options
	certs   []*Cert
	byID    map[uint64][]*signingKey
	byPrint map[string]*Cert // by primary key
	bySub   map[string]*Cert // by proven subkey

	described func() []string // what describe returns
}

// signingKey is a key that signatures may name, whether or not it may vouch.
type signingKey struct {
	cert    *Cert
	fact    keyFact
	weak    string
	expires time.Time   // the earlier of subkey's and primary key's, zero: never
	revoked *Revocation // a subkey's own
	held    string      // why nothing new may come under it
}

// NewKeyring returns a keyring of certs with the default options.
func NewKeyring(certs ...*Cert) *Keyring { return Options{}.NewKeyring(certs...) }

// NewKeyring returns a keyring of certs, which must come from [ParseCerts]. Copies
// of one certificate are merged, so that a revocation in any copy counts.
func (o Options) NewKeyring(certs ...*Cert) *Keyring {
	o.FIPS = o.FIPS || fips140.Enabled()
	k := &Keyring{options: o, byID: map[uint64][]*signingKey{}, byPrint: map[string]*Cert{}, bySub: map[string]*Cert{}}
	k.described = sync.OnceValue(k.describe)
	merged := map[string]*facts{}
	sources := map[string][]string{}
	for _, c := range certs {
		if c == nil || c.facts == nil {
			continue
		}
		if f := merged[c.Fingerprint]; f != nil {
			f.merge(c.facts)
		} else {
			merged[c.Fingerprint] = c.facts.clone()
		}
		if c.Source != "" && !slices.Contains(sources[c.Fingerprint], c.Source) {
			sources[c.Fingerprint] = append(sources[c.Fingerprint], c.Source)
		}
	}
	for fingerprint, f := range merged {
		c := f.judge(o)
		if o.FIPS {
			c.approve()
		}
		c.disown(merged)
		c.revokeBy(o.Revoked)
		c.Source = strings.Join(sources[fingerprint], ", ")
		k.certs = append(k.certs, c)
	}
	slices.SortFunc(k.certs, func(a, b *Cert) int { return strings.Compare(a.Fingerprint, b.Fingerprint) })
	compromised := k.compromised()
	for _, c := range k.certs {
		c.revokeSubkeys(compromised)
		k.index(c)
	}
	return k
}

// disown removes from c the subkeys that are certificates themselves: a primary key is never a
// subkey of another, whatever it once agreed to.
func (c *Cert) disown(primary map[string]*facts) {
	for i := range c.Subkeys {
		if s := &c.Subkeys[i]; s.Weak == "" && primary[s.Fingerprint] != nil {
			s.Weak = "subkey is the primary key of a certificate"
		}
	}
}

// compromised returns the hard revocations of subkeys. Two certificates may have one
// subkey, and what one says of it holds for the other: the key is the same.
func (k *Keyring) compromised() map[string]*Revocation {
	hard := map[string]*Revocation{}
	for _, c := range k.certs {
		for i := range c.Subkeys {
			if s := &c.Subkeys[i]; s.Proven() && s.Revoked != nil && s.Revoked.Hard && s.Revoked.Graver(hard[s.Fingerprint]) {
				hard[s.Fingerprint] = s.Revoked
			}
		}
	}
	return hard
}

func (c *Cert) revokeBy(revoked map[string]*Revocation) {
	if r := revoked[c.Fingerprint]; r.Graver(c.Revoked) {
		c.Revoked = r
	}
	c.revokeSubkeys(revoked)
}

func (c *Cert) revokeSubkeys(revoked map[string]*Revocation) {
	for i := range c.Subkeys {
		if s := &c.Subkeys[i]; revoked[s.Fingerprint].Graver(s.Revoked) {
			s.Revoked = revoked[s.Fingerprint]
		}
	}
}

func (k *Keyring) index(c *Cert) {
	f := c.facts
	k.add(&signingKey{cert: c, fact: f.primary, weak: c.Weak, expires: c.Expires, held: c.Held})
	k.byPrint[c.Fingerprint] = c
	for _, s := range c.Subkeys {
		key := &signingKey{
			cert:    c,
			fact:    f.subkey(keyFact{fingerprint: s.Fingerprint}).key,
			weak:    s.Weak,
			expires: earlier(s.Expires, c.Expires),
			revoked: s.Revoked,
			held:    cmp.Or(c.Held, s.Held),
		}
		// A primary key that must not sign packages may well bind a subkey that
		// does; one that cannot be relied on may not.
		if key.weak == "" && !f.bindsSubkeys() {
			key.weak = "primary key is not valid: " + c.Weak
		}
		k.add(key)
		if s.Proven() && k.bySub[s.Fingerprint] == nil {
			k.bySub[s.Fingerprint] = c
		}
	}
}

func (k *Keyring) add(s *signingKey) {
	k.byID[s.fact.id] = append(k.byID[s.fact.id], s)
}

// Certs returns the certificates, merged, in the order of their fingerprints.
func (k *Keyring) Certs() []*Cert { return slices.Clone(k.certs) }

// Revokes reports whether a key that signatures may name is revoked, or another key by the
// options.
func (k *Keyring) Revokes() bool {
	return len(k.options.Revoked) > 0 || slices.ContainsFunc(k.certs, func(c *Cert) bool {
		return c.Revoked != nil || slices.ContainsFunc(c.Subkeys, func(s Subkey) bool { return s.Revoked != nil })
	})
}

// Lookup returns the certificate with fingerprint (hex, in either case) as its primary key or as
// a proven subkey, nil if there is none. If two certificates share the subkey, it returns the
// one with the lower fingerprint.
func (k *Keyring) Lookup(fingerprint string) *Cert {
	return cmp.Or(k.Primary(fingerprint), k.bySub[strings.ToLower(fingerprint)])
}

// Primary returns the certificate whose primary key has fingerprint (hex, in either
// case), nil if there is none.
func (k *Keyring) Primary(fingerprint string) *Cert { return k.byPrint[strings.ToLower(fingerprint)] }
