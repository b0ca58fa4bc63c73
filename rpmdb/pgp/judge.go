// SPDX-License-Identifier: Apache-2.0

package pgp

// judge draws the conclusions from f.
//
// A self-signature over SHA-1 is enough for the primary key: trust in that key
// comes from the person who put it into the keyring, its self-signature can only narrow
// it, and forging one needs a second preimage. The release keys of RHEL up
// to 9 and CentOS have no other. A binding adds a key, so it has to be better.
func (f *facts) judge(o Options) *Cert {
	unread := heed(f.unread, o.Overruled)
	revoked, held := weigh(f.revocations, unread)
	c := &Cert{
		Fingerprint: f.primary.fingerprint,
		KeyIDs:      []uint64{f.primary.id},
		Algorithm:   f.primary.algorithm,
		Version:     f.primary.version,
		Created:     f.primary.created,
		Revoked:     revoked,
		Weak:        f.primary.weak,
		Held:        held,
		Unread:      unread,
		facts:       f,
	}
	user, userSig := f.primaryUser()
	if user != nil {
		c.UserID = user.id
	}
	governed := false
	for _, s := range []*selfSig{userSig, newest(f.direct, &f.primary)} {
		if s == nil {
			continue
		}
		governed = true
		c.Expires = earlier(c.Expires, s.end(&f.primary))
		if s.hasFlags && !s.signs && c.Weak == "" {
			c.Weak = "key is not meant for signing"
		}
	}
	if !governed && f.primary.weak == "" {
		c.Weak = f.unbound()
	}
	for i := range f.subkeys {
		if s, ok := f.subkeys[i].judge(o); ok {
			c.Subkeys = append(c.Subkeys, s)
			c.KeyIDs = append(c.KeyIDs, s.KeyID)
			c.Unread = append(c.Unread, heed(f.subkeys[i].unread, o.Overruled)...)
		}
	}
	return c
}

// primaryUser returns the user ID that stands for the certificate, and its
// self-signature: marked as primary, or else signed last. Without a valid one it
// is the first user ID, and no signature.
func (f *facts) primaryUser() (user *userFact, sig *selfSig) {
	for i := range f.users {
		u := &f.users[i]
		s := newest(u.sigs, &f.primary)
		if s == nil || !u.revoked.IsZero() && !s.created.After(u.revoked) {
			continue
		}
		if sig == nil || s.primaryUser && !sig.primaryUser ||
			s.primaryUser == sig.primaryUser && s.created.After(sig.created) {
			user, sig = u, s
		}
	}
	if user == nil && len(f.users) > 0 {
		user = &f.users[0]
	}
	return user, sig
}

// unbound says why no self-signature governs the key.
func (f *facts) unbound() string {
	for i := range f.users {
		if len(f.users[i].sigs) > 0 {
			return "all user IDs of the key are revoked"
		}
	}
	if len(f.doubts) > 0 {
		return "key has no valid self-signature: " + f.doubts[0]
	}
	return "key has no self-signature"
}

// judge is not ok for a subkey that does not claim to sign.
func (s *subkeyFact) judge(o Options) (sub Subkey, ok bool) {
	b := newest(s.bindings, &s.key)
	if b == nil || !b.hasFlags || !b.signs {
		return sub, false
	}
	revoked, held := weigh(s.revocations, heed(s.unread, o.Overruled))
	sub = Subkey{
		Fingerprint: s.key.fingerprint,
		KeyID:       s.key.id,
		Algorithm:   s.key.algorithm,
		Created:     s.key.created,
		Expires:     b.end(&s.key),
		Revoked:     revoked,
		Weak:        s.key.weak,
		Held:        held,
	}
	switch {
	case sub.Weak != "":
	case b.fault != "":
		sub.Weak = b.fault
	case b.weakHash && (!o.AllowSHA1 || o.FIPS):
		sub.Weak = "subkey is bound by a signature over SHA-1"
	}
	return sub, true
}

// bindsSubkeys reports whether the primary key is good enough to speak for its
// subkeys, which it may be without signing packages itself.
func (f *facts) bindsSubkeys() bool {
	_, sig := f.primaryUser()
	return f.primary.weak == "" && (sig != nil || len(f.direct) > 0)
}
