// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/rpmdb/pgp"
)

// Judge judges what vouches for the list of a package now. proven is false if that
// was verified by other rules, so that only its header can tell.
func (s *Grounds) Judge(e *view.Entry) (d policy.Decision, proven bool) {
	if e.Own != "" {
		return d, true // see ownRefused
	}
	var err error
	switch {
	case e.Key == "":
		err = pgp.ErrUnsigned
	case e.Signature != nil:
		_, err = s.Keyring.Judge(pgp.Signed{Key: e.Signature.Key, Made: e.Signature.Made, Ends: e.Signature.Ends}, s.Now())
	default: // of schema 1
		r := s.revocations()[e.Key]
		switch {
		case r != nil && r.Hard:
			err = &pgp.RevokedError{Fingerprint: e.Key, Reason: r.String()}
		case s.Keyring.Primary(e.Key) == nil:
			err = &pgp.UnknownKeyError{KeyIDs: []string{e.Key}}
		}
	}
	return policy.Vouch(s.Mode, s.Unsigned, e.Package, Outcome(err)), e.Rules == s.Rules
}

// Trusted reports whether what vouched for e still does.
func (s *Grounds) Trusted(e *view.Entry) bool {
	d, proven := s.Judge(e)
	return proven && d.Verdict == policy.Allow
}

// WithdrawRefused takes the lists out of the directory for which nothing vouches any
// more. A key that is not there counts only if all stores of keys could be read: one that was not is not gone.
func (s *Grounds) WithdrawRefused(complete bool) {
	if !s.KeysRead {
		return
	}
	var out []state.Suspension
	for _, e := range s.Sorted() {
		if !e.Active() {
			continue
		}
		d, _ := s.Judge(e)
		if d.Verdict == policy.Allow || d.Reason == policy.ReasonUnknownKey && !complete {
			continue
		}
		d.Verdict = policy.WithholdList // it is installed already
		out = append(out, state.Suspension{Entry: e, Decision: d})
	}
	s.Suspend(out)
}

// Rekey has the keyring heed the revocations that are recorded now.
func (s *Grounds) Rekey() {
	options := s.keyringOptions()
	options.Revoked = s.revocations()
	s.setKeyring(options.NewKeyring(s.Keyring.Certs()...))
}

// setKeyring takes over a keyring. What was verified by another one has to begin again.
func (s *Grounds) setKeyring(ring *pgp.Keyring) {
	if !ring.Same(s.Keyring) {
		s.Basis++
	}
	s.Keyring = ring
}

// Again is an active list that was verified by other rules, and what its header says
// by these.
type Again struct {
	Entry     *view.Entry
	Candidate *view.Candidate
}

// AdoptAgain records what was verified again, and withdraws what was refused.
func (s *Grounds) AdoptAgain(found []Again) {
	var out []state.Suspension
	for _, f := range found {
		e, c := f.Entry, f.Candidate
		if s.ByName[e.Name] != e {
			continue // changed meanwhile
		}
		d := c.Vouch
		if c.None != nil && d.Verdict == policy.Allow {
			d = *c.None
		}
		if d.Verdict != policy.Allow {
			d.Verdict = policy.WithholdList // it is installed already
			out = append(out, state.Suspension{Entry: e, Decision: d})
			continue
		}
		known := *e
		s.Justify(&known, c)
		known.Broken = known.Broken || c.Body != e.Body // this release makes another list of it
		s.Save(&known)
	}
	s.Suspend(out)
	s.Record()
}

// Justify records in e what vouches for it.
func (s *Grounds) Justify(e *view.Entry, c *view.Candidate) {
	e.Rules, e.Signature, e.From, e.Key = s.Rules, c.Signature, c.From, ""
	if c.Key != nil {
		e.Key = c.Key.Fingerprint
	}
}
