// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/rpmdb"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store/record"
)

// A judgement must not outlive its grounds. An entry keeps what has to be known of the
// signature that vouches for it, and by which rules that was verified. Whether it still
// vouches is asked anew, by the keys and settings of now, wherever it matters: nothing
// is remembered that a restart could forget.

// mostTries is how often something is made again because what it was made by has
// changed meanwhile.
const mostTries = 8

// errAgain means that keys, denials or settings changed since something was made.
var errAgain = errors.New("keys, denials or settings change all the time")

// verifierRules names the rules by which this digestd verifies. Each release has its
// own: what another release has verified is verified again.
func verifierRules() string { return fmt.Sprint(pgp.Rules, " ", api.Version) }

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

// verifyAgain verifies the headers of lists anew that were verified by other rules: by
// another release of digestd. It also does so while a transaction is in flight, for
// that may be the one which brings this release. What cannot be read of rpm's database
// is left to the reconciliation.
func (d *Daemon) verifyAgain(ctx context.Context) error {
	for range mostTries {
		var basis uint64
		doubtful := map[record.Digest]*view.Entry{}
		err := d.exec.enter(ctx, "judge", func(s *state) error {
			basis = s.basis
			for _, e := range s.sorted() {
				if _, proven := s.grounds(e); e.Active() && !proven {
					doubtful[e.Header] = e
				}
			}
			return nil
		})
		if err != nil || len(doubtful) == 0 {
			return err
		}
		found, err := d.readAgain(ctx, doubtful)
		if err != nil {
			return err
		}
		err = d.exec.enter(ctx, "judge", func(s *state) error {
			if s.basis != basis {
				return errAgain
			}
			s.adoptAgain(found)
			return nil
		})
		if !errors.Is(err, errAgain) {
			return err
		}
	}
	return errAgain
}

// readAgain verifies the headers of these lists, as rpm's database has them.
func (d *Daemon) readAgain(ctx context.Context, doubtful map[record.Digest]*view.Entry) (found []again, err error) {
	db, err := d.database()
	if errors.Is(err, rpmdb.ErrNoDatabase) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	snap := d.snapshot()
	m, w := d.maker.Load(), workspace{denials: snap.Denials}
	err = db.Headers(ctx, func(_ uint32, blob []byte) error {
		h, err := header.Parse(blob)
		if err != nil {
			return nil // the reconciliation names it
		}
		digest, err := h.Digest()
		e := doubtful[digest]
		if err != nil || e == nil {
			return nil
		}
		// A clock that was set back refuses nothing that was active once.
		c, err := m.examine(h, h.Signatures(), snap.Keyring, later(d.now(), e.Since))
		if err == nil {
			err = m.compose(c, h, &w)
		}
		if err != nil {
			d.log.Warn("package not verified again", "package", e.Package.String(), "error", err)
			return nil
		}
		found = append(found, again{e, c})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read rpm's database: %w", err)
	}
	return found, nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
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
