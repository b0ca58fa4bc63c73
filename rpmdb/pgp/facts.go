// SPDX-License-Identifier: Apache-2.0

package pgp

import (
	"crypto"
	"time"
)

// facts is what a certificate proves about itself: every part verified with
// the primary key, none judged yet. Copies of a certificate are merged as facts.
type facts struct {
	primary     keyFact
	users       []userFact
	direct      []selfSig
	revocations []Revocation
	unread      []Unread
	subkeys     []subkeyFact
	doubts      []string // why self-signatures did not count
}

type keyFact struct {
	fingerprint string
	id          uint64
	version     int
	created     time.Time
	algorithm   string
	algo        byte
	weak        string
	material    material // nil if weak
}

type userFact struct {
	id      string
	sigs    []selfSig
	revoked time.Time // the newest revocation, zero if there is none
}

type subkeyFact struct {
	key         keyFact
	bindings    []selfSig
	revocations []Revocation
	unread      []Unread
}

// selfSig is a self-signature: over a user ID, the primary key alone, or a subkey.
type selfSig struct {
	created     time.Time
	expires     time.Time     // of the signature, zero: never
	keyLifetime time.Duration // from the key's creation, zero: for ever
	hasFlags    bool
	signs       bool   // meaningful if hasFlags
	primaryUser bool   // the owner's favourite user ID
	weakHash    bool   // SHA-1, in it or in its back signature
	fault       string // of a binding: why it does not let the subkey sign
}

// end returns when s lets the key expire, zero for never.
func (s *selfSig) end(key *keyFact) time.Time {
	end := s.expires
	if s.keyLifetime != 0 {
		end = earlier(end, key.created.Add(s.keyLifetime))
	}
	return end
}

// earlier treats the zero time as never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// newest returns the latest of sigs, nil if there is none. Of two that are equally
// new, the one that lets the key end sooner.
func newest(sigs []selfSig, key *keyFact) *selfSig {
	var best *selfSig
	for i := range sigs {
		s := &sigs[i]
		if best == nil || s.created.After(best.created) ||
			s.created.Equal(best.created) && earlier(best.end(key), s.end(key)) != best.end(key) {
			best = s
		}
	}
	return best
}

// gravest returns the revocation that refuses most, nil if there is none.
func gravest(all []Revocation) *Revocation {
	var worst *Revocation
	for i := range all {
		r := &all[i]
		if r.Graver(worst) || !worst.Graver(r) && r.Time.Before(worst.Time) {
			worst = r
		}
	}
	if worst == nil {
		return nil
	}
	copied := *worst
	return &copied
}

// merge adds what other, of the same fingerprint, knows.
func (f *facts) merge(other *facts) {
	f.direct = append(f.direct, other.direct...)
	f.revocations = append(f.revocations, other.revocations...)
	f.unread = addUnread(f.unread, other.unread)
	f.doubts = append(f.doubts, other.doubts...)
	for _, u := range other.users {
		mine := f.user(u.id)
		mine.sigs = append(mine.sigs, u.sigs...)
		if u.revoked.After(mine.revoked) {
			mine.revoked = u.revoked
		}
	}
	for _, s := range other.subkeys {
		mine := f.subkey(s.key)
		mine.bindings = append(mine.bindings, s.bindings...)
		mine.revocations = append(mine.revocations, s.revocations...)
		mine.unread = addUnread(mine.unread, s.unread)
	}
}

// user returns the entry of a user ID, which it makes if need be.
func (f *facts) user(id string) *userFact {
	for i := range f.users {
		if f.users[i].id == id {
			return &f.users[i]
		}
	}
	f.users = append(f.users, userFact{id: id})
	return &f.users[len(f.users)-1]
}

// subkey returns the entry of a subkey, which it makes if need be.
func (f *facts) subkey(key keyFact) *subkeyFact {
	for i := range f.subkeys {
		if f.subkeys[i].key.fingerprint == key.fingerprint {
			return &f.subkeys[i]
		}
	}
	f.subkeys = append(f.subkeys, subkeyFact{key: key})
	return &f.subkeys[len(f.subkeys)-1]
}

// clone returns facts that merge may change without touching f.
func (f *facts) clone() *facts {
	c := &facts{primary: f.primary}
	c.merge(f)
	return c
}

func isWeakHash(h crypto.Hash) bool {
	return h == crypto.SHA1 || h == crypto.MD5 || h == crypto.RIPEMD160
}
