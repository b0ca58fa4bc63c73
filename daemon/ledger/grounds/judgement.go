// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"errors"
	"slices"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store/record"
)

// Judge decides whether the signature of the package of e vouches for it now. proven is
// false if other rules verified the signature: then only its header can tell.
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

// Trusted reports whether the signature that vouched for e still does.
func (s *Grounds) Trusted(e *view.Entry) bool {
	d, proven := s.Judge(e)
	return proven && d.Verdict == policy.Allow
}

// WithdrawRefused withdraws the lists for which no signature vouches any more. An unknown
// key counts only if complete is set, that is, if all stores of keys could be read.
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
		if e.Grace != "" && d.Verdict == policy.Allow {
			d = s.floorRefused(e) // comparisons skip what was replaced
		}
		if d.Verdict == policy.Allow || d.Reason == policy.ReasonUnknownKey && !complete {
			continue
		}
		d.Verdict = policy.WithholdList // it is installed already
		out = append(out, state.Suspension{Entry: e, Decision: d})
	}
	s.Suspend(out)
}

// floorRefused says why e may not be active if a floor is above it.
func (s *Grounds) floorRefused(e *view.Entry) policy.Decision {
	if d := s.Admit(e.Package, false); d.Reason == policy.ReasonRollbackFloor {
		return d
	}
	return policy.Decision{}
}

// Rekey applies the recorded revocations to the keyring.
func (s *Grounds) Rekey() {
	options := s.keyringOptions()
	options.Revoked = s.revocations()
	s.setKeyring(options.NewKeyring(s.Keyring.Certs()...))
}

// setKeyring takes over a keyring. Verifications that used the former one have to begin again.
func (s *Grounds) setKeyring(ring *pgp.Keyring) {
	if !ring.Same(s.Keyring) {
		s.Basis++
	}
	s.Keyring = ring
}

// Again is an active list that other rules verified, with the result of a verification by
// the present rules.
type Again struct {
	Entry     *view.Entry
	Candidate *view.Candidate
}

// AdoptAgain records the results of verifications, and withdraws the lists that they refuse.
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

// Justify records in e which signature vouches for it.
func (s *Grounds) Justify(e *view.Entry, c *view.Candidate) {
	e.Rules, e.Signature, e.From, e.Key = s.Rules, c.Signature, c.From, ""
	if c.Key != nil {
		e.Key = c.Key.Fingerprint
	}
}

// Outcome maps an error of a signature check to its class in package policy.
func Outcome(err error) policy.Outcome {
	var (
		unknown *pgp.UnknownKeyError
		bad     *pgp.BadSignatureError
		weak    *pgp.WeakError
		revoked *pgp.RevokedError
		expired *pgp.ExpiredError
		future  *pgp.FutureError
	)
	o := policy.Outcome{}
	if err != nil {
		o.Detail = err.Error()
	}
	switch {
	case err == nil:
		o.Class = policy.Good
	case errors.Is(err, pgp.ErrUnsigned):
		o.Class = policy.NotSigned
	case errors.As(err, &revoked):
		o.Class = policy.KeyRevoked
	case errors.As(err, &expired):
		o.Class = policy.KeyExpired
	case errors.As(err, &future):
		o.Class = policy.FromFuture
	case errors.As(err, &weak):
		o.Class = policy.WeakSignature
	case errors.As(err, &unknown):
		o.Class = policy.UnknownKey
	case errors.As(err, &bad):
		o.Class = policy.BadSignature
	default:
		o.Class = policy.BadSignature
	}
	return o
}

// Allowed reports whether versions and .blacklist allow an active list: a floor may have
// risen above it, or the kernel may name it.
func (s *Grounds) Allowed(e *view.Entry) bool {
	return s.bannedList(e) == "" && s.Admit(e.Package, false).Verdict == policy.Allow
}

// An own list that was imported as the header of a package vouches for that version
// of it: what keeps the version out keeps the list out.

// origin returns the package whose header o was imported from; ok is false if it
// comes from none.
func origin(o record.Own) (pkg nevra.NEVRA, ok bool) {
	if o.Package == "" {
		return pkg, false
	}
	pkg, err := nevra.Parse(o.Package)
	return pkg, err == nil
}

// JudgeOrigin decides whether o may be imported.
func (s *Grounds) JudgeOrigin(o record.Own) policy.Decision {
	pkg, ok := origin(o)
	if !ok {
		return policy.Decision{}
	}
	return s.Admit(pkg, false)
}

// originRefused decides whether o may stay. That rpm installs a newer version is not
// said against a list of the owner's; a denial or a floor is.
func (s *Grounds) originRefused(o record.Own) policy.Decision {
	if o.Package == "" || !o.Removed.IsZero() {
		return policy.Decision{}
	}
	d := s.JudgeOrigin(o)
	if d.Reason != policy.ReasonDenied && d.Reason != policy.ReasonRollbackFloor {
		return policy.Decision{}
	}
	return d
}

// OwnRefused says why an own list may not be active, if it may not.
func (s *Grounds) OwnRefused(o record.Own, e *view.Entry) policy.Decision {
	switch o.KeyKind {
	case view.KeyPGP:
		if c := s.Keyring.Primary(o.Key); c == nil || c.Revoked != nil || c.Weak != "" {
			return policy.Decision{Verdict: policy.WithholdList, Reason: policy.ReasonKeyRevoked, Text: "the key that signed it, " + o.Key + ", is not trusted any more"}
		}
	case view.KeyX509:
		if s.Keys[o.Key].Revoked != nil || !s.Importers[o.Key] && !s.Policed.PolicyTrusts(o.Key) {
			return policy.Decision{Verdict: policy.WithholdList, Reason: policy.ReasonKeyRevoked, Text: "the certificate that signed it, " + o.Key + ", is not trusted any more"}
		}
	}
	if d := s.originRefused(o); d.Verdict != policy.Allow {
		return d
	}
	return s.UnlessBanned(e.Package, s.Admit(e.Package, false), e.Body, o.Body)
}

// WithdrawUnknown has the lists of ours leave the directory that the index does not
// know, where a transaction that was cut short, or that another digestd began, may have
// left some. Only the next comparison can say what vouches for them. An act that forbids
// lists cannot wait for it; the comparison then brings back what may be there.
func (s *Grounds) WithdrawUnknown() {
	if s.Unsettled {
		s.IntendUrgently()
		s.Plan.Unknown = true
		s.Sync()
		s.Record()
	}
}

// Rebuilding reports whether the index was lost and no comparison has filled the new one
// yet: then it knows none of the lists, and to withdraw them all would leave the machine
// without lists until that is over, which is soon.
func (s *Grounds) Rebuilding() bool {
	return s.LastSync.When.IsZero() && slices.ContainsFunc(s.Problems, func(p api.Problem) bool { return p.ID == ProblemIndexLost })
}

// ProblemIndexLost stands until somebody acknowledges that what was superseded is
// forgotten.
const ProblemIndexLost = "index-lost"
