// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store/record"
)

// KeySources is the content of the stores of certificates and revocations.
type KeySources struct {
	Dir, Kind string // of rpm's database
	Certs     []*pgp.Cert
	RPM       map[string]bool   // the fingerprints that are in rpm's keyring
	Complete  bool              // rpm's keyring was read to its last key
	Revoked   []RevokedKey      // what the directory of revocations says
	Blacklist state.Blacklisted // what the kernel says
	Errs      []error
	Importers []*x509.Certificate // by which lists may be imported
}

// AdoptKeys takes over the content of the stores. Revocations become durable before any
// other effect, so that the next start completes them after a crash. If they cannot be
// recorded, the next look at the keys finds them again.
func (s *Grounds) AdoptKeys(src *KeySources) {
	options := s.keyringOptions()
	plain := options.NewKeyring(src.Certs...)
	s.DBPath, s.DBKind, s.Importers = src.Dir, src.Kind, idsOf(src.Importers)
	s.RenameImporters(src.Importers)
	s.Solved("keys")
	for _, err := range src.Errs {
		s.Problem("keys", api.SeverityWarning, err.Error(), "remove or replace the file or key")
	}
	now, less := s.Now(), false
	for _, c := range plain.Certs() {
		less = s.meet(c, src, now) || less
	}
	revoked := s.noteRevocations(plain, src, now)
	s.adoptBlacklist(src.Blacklist)
	named := s.ApplyBlacklist()
	if options.Revoked = s.revocations(); len(options.Revoked) > 0 {
		plain = options.NewKeyring(src.Certs...)
	}
	s.setKeyring(plain)
	s.KeysRead = true
	s.tellOfHeld()
	for _, fingerprint := range append(revoked, named...) {
		s.CarryOut(fingerprint)
	}
	s.WithdrawRefused(len(src.Errs) == 0)
	if (less || len(revoked)+len(s.Plan.Withdraw) > 0) && !s.Rebuilding() {
		s.WithdrawUnknown()
	}
}

func (s *Grounds) keyringOptions() pgp.Options {
	return pgp.Options{NoExpired: s.NoExpired, Overruled: s.overruled()}
}

// meet records a certificate as it is now. less reports that it may vouch for less than before,
// without a revocation: it, or a subkey, has expired where that counts, or is weak.
func (s *Grounds) meet(c *pgp.Cert, src *KeySources, now time.Time) (less bool) {
	old, known := s.Keys[c.Fingerprint]
	k := old
	if !known {
		k = record.Key{Fingerprint: c.Fingerprint, FirstSeen: now}
	}
	k.Owner, k.Algorithm, k.Source = c.UserID, c.Algorithm, c.Source
	k.Created, k.Expires, k.Gone, k.RPM = c.Created, c.Expires, time.Time{}, src.RPM[c.Fingerprint]
	k.Judged = judgement(c, s.NoExpired, now)
	k.Subkeys = nil
	for _, sub := range c.Subkeys {
		if sub.Proven() {
			k.Subkeys = append(k.Subkeys, sub.Fingerprint)
		}
	}
	if !known || !slices.Equal(k.Subkeys, old.Subkeys) || k.Judged != old.Judged || k.RPM != old.RPM || k.Source != old.Source || !old.Gone.IsZero() {
		s.SetKey(k)
	}
	return known && k.Judged != old.Judged && s.fails(c, now)
}

// fails reports whether c or a subkey of it is weak, or has expired where that counts.
func (s *Grounds) fails(c *pgp.Cert, now time.Time) bool {
	out := func(ends time.Time, weak string) bool {
		return weak != "" || s.NoExpired && view.Expired(ends, now)
	}
	return out(c.Expires, c.Weak) || slices.ContainsFunc(c.Subkeys, func(k pgp.Subkey) bool { return out(k.Expires, k.Weak) })
}

// judgement digests all that a certificate says about which of its signatures
// count.
func judgement(c *pgp.Cert, noExpired bool, now time.Time) string {
	line := func(b []byte, r *pgp.Revocation, ends time.Time, weak string) []byte {
		if r == nil {
			b = append(b, "<nil>"...)
		} else {
			b = append(b, r.String()...)
		}
		b = strconv.AppendInt(append(b, ' '), ends.Unix(), 10)
		b = append(append(b, ' '), weak...)
		return append(strconv.AppendBool(append(b, ' '), noExpired && view.Expired(ends, now)), '\n')
	}
	text := line(nil, c.Revoked, c.Expires, c.Weak)
	for _, s := range c.Subkeys {
		text = line(append(append(text, s.Fingerprint...), ' '), s.Revoked, s.Expires, s.Weak)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// TellOfKeys reports a problem if no key can vouch for the installed packages.
func (s *Grounds) TellOfKeys(installed int) {
	usable := slices.ContainsFunc(s.Keyring.Certs(), func(c *pgp.Cert) bool { return c.Revoked == nil && c.Weak == "" })
	if usable || installed == 0 {
		s.Solved("no-keys")
		return
	}
	s.Problem("no-keys", api.SeverityWarning, "no key vouches for packages, so installed packages cannot have lists",
		"import the key of the distribution: rpmkeys --import FILE; see digestctl keys")
}
