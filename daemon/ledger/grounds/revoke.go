// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store/record"
)

// The sources of revocations, as they are recorded and shown.
const (
	SourceAdministrator = "administrator"
	sourceRPM           = "rpm's keyring"
	SourceCertificate   = "the certificate itself"
)

// noteRevocations records what is revoked and was not known to be, and returns
// the fingerprints of certificates.
func (s *Grounds) noteRevocations(ring *pgp.Keyring, src *KeySources, now time.Time) (revoked []string) {
	note := func(fingerprint string, r record.KeyRevocation) {
		if s.Note(fingerprint, r, now) {
			revoked = append(revoked, fingerprint)
		}
	}
	itself := func(fingerprint string, r *pgp.Revocation) {
		if r != nil && r.Graver(view.Revocation(s.Keys[fingerprint].Revoked)) {
			note(fingerprint, record.KeyRevocation{Source: SourceCertificate, Hard: r.Hard, Unread: r.Unread, Act: record.Act{Reason: r.String(), When: r.Time}})
		}
	}
	for _, c := range ring.Certs() {
		itself(c.Fingerprint, c.Revoked)
		for i := range c.Subkeys {
			if sub := &c.Subkeys[i]; sub.Proven() {
				itself(sub.Fingerprint, sub.Revoked) // an older copy of the certificate may return
			}
		}
	}
	for _, r := range src.Revoked {
		note(r.Fingerprint, record.KeyRevocation{Source: r.File, Hard: true, Act: record.Act{Reason: "named in " + r.File, When: now}})
	}
	for _, c := range s.Certificates {
		if src.Blacklist.Names(c) {
			note(hex.EncodeToString(c.SubjectKeyId), record.KeyRevocation{Source: view.SourceKernel, Hard: true,
				Act: record.Act{Reason: "named in " + view.SourceKernel, When: now}})
		}
	}
	for _, fingerprint := range slices.Sorted(maps.Keys(s.Keys)) {
		k := s.Keys[fingerprint]
		if k.Use != "" {
			continue
		}
		present := ring.Primary(fingerprint) != nil
		if !present && k.RPM && src.Complete {
			note(fingerprint, record.KeyRevocation{Source: sourceRPM, Hard: true, Act: record.Act{Reason: "removed from rpm's keyring", When: now}})
			k = s.Keys[fingerprint]
			k.RPM = false
			s.SetKey(k)
		}
		if !present && k.Gone.IsZero() {
			k.Gone = now
			s.SetKey(k)
		}
	}
	return revoked
}

// Note records one revocation, unless one as grave is known already: a hard one, or a
// soft one of the same time or an earlier one.
func (s *Grounds) Note(fingerprint string, r record.KeyRevocation, now time.Time) bool {
	k, known := s.Keys[fingerprint]
	if known && !view.Revocation(&r).Graver(view.Revocation(k.Revoked)) {
		return false
	}
	if !known {
		k = record.Key{Fingerprint: fingerprint, FirstSeen: now, Gone: now}
	}
	k.Revoked = &r
	s.SetKey(k)
	s.Event(record.Event{Kind: audit.KindKeyRevoked, Key: fingerprint, Reason: r.Source, Text: r.Reason, UID: r.UID, PID: r.PID})
	return true
}

// revocations are what the keyring must know beyond the certificates.
func (s *Grounds) revocations() map[string]*pgp.Revocation {
	m := map[string]*pgp.Revocation{}
	for fingerprint, k := range s.Keys {
		if r := k.Revoked; r != nil && k.Use == "" {
			m[fingerprint] = view.Revocation(r)
		}
	}
	return m
}

// CarryOut withdraws the lists that a revoked key vouched for, after the revocation is
// durable.
func (s *Grounds) CarryOut(fingerprint string) {
	r := s.Keys[fingerprint].Revoked
	reason := policy.ReasonKeyRevoked
	switch s.Keys[fingerprint].Use {
	case view.UseLists:
		return // nothing goes: lists are signed anew
	case view.UseDigest:
		reason = policy.ReasonBlacklisted
	}
	if owners := s.ownersOfSubkey(fingerprint); !r.Hard || len(owners) > 0 {
		// It depends on when each package was signed, or by which subkey.
		return // withdrawRefused knows
	}
	text := fmt.Sprintf("its key %s was revoked by %s: %s; to lift that: digestctl keys restore %s --reason WHY", fingerprint, r.Source, r.Reason, fingerprint)
	if reason == policy.ReasonBlacklisted {
		text = bannedText(fingerprint)
	}
	s.SetMark() // a crash may leave a list that is withheld on record
	s.IntendUrgently()
	lists := 0
	for _, e := range s.Sorted() {
		if !e.Active() || e.Key != fingerprint && s.bannedList(e) != fingerprint {
			continue
		}
		lists++
		s.Plan.Withdraw = append(s.Plan.Withdraw, state.Withdrawal{Name: e.Name, Entry: e})
		s.Sync(e.Name)
		w := *e
		w.State, w.Reason, w.Text = record.Withheld, string(reason), text
		w.File, w.Signer, w.Granted, w.Since = record.Digest{}, "", e.Granted, s.Now()
		s.Save(&w)
		s.Event(record.Event{Kind: audit.KindWithdrawn, Package: e.Package.Full(), List: e.Name, Digest: e.Body, Key: fingerprint, Counter: e.Counter,
			Reason: string(reason), Text: r.Reason, UID: r.UID, PID: r.PID})
		s.After(func(o state.Observer) { o.ListWithdrawn(e.Name, e.Package.Full(), string(reason)) })
	}
	s.Log.Warn("key revoked", "key", fingerprint, "owner", s.Keys[fingerprint].Owner, "by", r.Source, "reason", r.Reason, "lists", lists)
	s.After(func(o state.Observer) { o.KeyRevoked(fingerprint, r.Source+": "+r.Reason, uint32(lists)) })
	s.Record()
}

// Vouches reports whether a list is active by that key, revoked or not.
func (s *Grounds) Vouches(fingerprint string) bool {
	for _, e := range s.ByName {
		if e.Active() && e.Key == fingerprint {
			return true
		}
	}
	return false
}

// ownersOfSubkey returns the certificates that have fingerprint as a proven subkey. A
// key that was ever met as a certificate is nobody's, whatever other certificates claim.
func (s *Grounds) ownersOfSubkey(fingerprint string) (owners []string) {
	if s.Keys[fingerprint].IsCertificate() {
		return nil
	}
	for owner, k := range s.Keys {
		if slices.Contains(k.Subkeys, fingerprint) {
			owners = append(owners, owner)
		}
	}
	slices.Sort(owners)
	return owners
}

// RevokedKey is a key that a file in the directory of revocations names.
type RevokedKey struct {
	Fingerprint string
	File        string
}
