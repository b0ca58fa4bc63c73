// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"

	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/rpmdb/pgp"
)

// errAgain means that keys, denials or settings changed since something was made.
var errAgain = errors.New("keys, denials or settings change all the time")

// grounds judges what vouches for the list of a package now. proven is false if that
// was verified by other rules, so that only its header can tell.
func (s *state) grounds(e *view.Entry) (d policy.Decision, proven bool) {
	if e.Own != "" {
		return d, true // see ownRefused
	}
	var err error
	switch {
	case e.Key == "":
		err = pgp.ErrUnsigned
	case e.Signature != nil:
		_, err = s.keyring.Judge(pgp.Signed{Key: e.Signature.Key, Made: e.Signature.Made, Ends: e.Signature.Ends}, s.now())
	default: // of schema 1
		r := s.revocations()[e.Key]
		switch {
		case r != nil && r.Hard:
			err = &pgp.RevokedError{Fingerprint: e.Key, Reason: r.String()}
		case s.keyring.Primary(e.Key) == nil:
			err = &pgp.UnknownKeyError{KeyIDs: []string{e.Key}}
		}
	}
	return policy.Vouch(s.mode, s.unsigned, e.Package, outcome(err)), e.Rules == s.rules
}

// trusted reports whether what vouched for e still does.
func (s *state) trusted(e *view.Entry) bool {
	d, proven := s.grounds(e)
	return proven && d.Verdict == policy.Allow
}

// withdrawRefused takes the lists out of the directory for which nothing vouches any
// more. A key that is not there counts only if all stores of keys could be read: one that was not is not gone.
func (s *state) withdrawRefused(complete bool) {
	if !s.keysRead {
		return
	}
	var out []suspension
	for _, e := range s.sorted() {
		if !e.Active() {
			continue
		}
		d, _ := s.grounds(e)
		if d.Verdict == policy.Allow || d.Reason == policy.ReasonUnknownKey && !complete {
			continue
		}
		d.Verdict = policy.WithholdList // it is installed already
		out = append(out, suspension{e, d})
	}
	s.suspend(out)
}

// rekey has the keyring heed the revocations that are recorded now.
func (s *state) rekey() {
	options := s.keyringOptions()
	options.Revoked = s.revocations()
	s.setKeyring(options.NewKeyring(s.keyring.Certs()...))
}

// setKeyring takes over a keyring. What was verified by another one has to begin again.
func (s *state) setKeyring(ring *pgp.Keyring) {
	if !ring.Same(s.keyring) {
		s.basis++
	}
	s.keyring = ring
}

// again is an active list that was verified by other rules, and what its header says
// by these.
type again struct {
	entry     *view.Entry
	candidate *view.Candidate
}

// adoptAgain records what was verified again, and withdraws what was refused.
func (s *state) adoptAgain(found []again) {
	var out []suspension
	for _, f := range found {
		e, c := f.entry, f.candidate
		if s.byName[e.Name] != e {
			continue // changed meanwhile
		}
		d := c.Vouch
		if c.None != nil && d.Verdict == policy.Allow {
			d = *c.None
		}
		if d.Verdict != policy.Allow {
			d.Verdict = policy.WithholdList // it is installed already
			out = append(out, suspension{e, d})
			continue
		}
		known := *e
		s.justify(&known, c)
		known.Broken = known.Broken || c.Body != e.Body // this release makes another list of it
		s.save(&known)
	}
	s.suspend(out)
	s.record()
}

// justify records in e what vouches for it.
func (s *state) justify(e *view.Entry, c *view.Candidate) {
	e.Rules, e.Signature, e.From, e.Key = s.rules, c.Signature, c.From, ""
	if c.Key != nil {
		e.Key = c.Key.Fingerprint
	}
}
