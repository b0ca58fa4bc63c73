// SPDX-License-Identifier: Apache-2.0

package enrol

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/identity"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/signer"
)

// shortestRest and longestRest lie between two looks for one that is away.
const shortestRest, longestRest = time.Second, 30 * time.Second

// TellOfSigner looks for the signing key before the first signature, so that a start reports
// a missing key.
func (en *Enroller) TellOfSigner(ctx context.Context) {
	m := en.Builder.Load()
	if m.Sign != ledger.SignPKCS7 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, identity.ReachTimeout)
	defer cancel()
	if err := m.Identity.Key.Check(ctx); err != nil {
		en.Logger.Error("signing key not found", "error", err, "file", m.Identity.KeyPath(),
			"advice", "make the token or TPM in the file reachable; if the key is lost, make another: digestctl keys rotate")
		return
	}
	en.Logger.Info("signing key found", "in", m.Identity.Key.String())
}

// foreignKey names the problem of a key that is from another machine.
const foreignKey = "signing-key-foreign"

// TellOfForeignKey reports that the signing key is from another machine, which a copy of the disk
// of that machine may have as well, or that this is not known.
func TellOfForeignKey(s *ledger.Ledger, err error) {
	severity, advice := api.SeverityNotice, "make the file readable, then: systemctl restart digestd"
	if foreign := (*identity.Elsewhere)(nil); errors.As(err, &foreign) {
		severity, advice = api.SeverityWarning, "make a key for this machine alone: digestctl keys rotate --reason WHY; or, if no other machine has the key, remove "+
			foreign.Path+" and restart digestd"
	}
	s.Problem(foreignKey, severity, err.Error(), advice)
}

// ReachSigner looks for the signing key, if the latest use of it failed.
func (en *Enroller) ReachSigner(ctx context.Context) error {
	key := en.Builder.Load().Identity.Key
	if key.Failure() == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, identity.ReachTimeout)
	defer cancel()
	return key.Check(ctx)
}

// FollowSigner reports a signing key that cannot be used, and starts the search for it.
func (en *Enroller) FollowSigner(ctx context.Context) {
	err := en.Builder.Load().Identity.Key.Failure()
	en.Exec.Enter(ctx, "note", func(s *ledger.Ledger) error {
		if err == nil {
			s.Solved("signing-key")
		} else {
			s.Problem("signing-key", api.SeverityError, err.Error()+"; packages get no new lists, existing lists stay",
				"make the key reachable; digestd retries automatically, or retry now: digestctl sync")
		}
		s.Show()
		return nil
	})
	if err != nil {
		select {
		case en.unsigned <- struct{}{}:
		default:
		}
	}
}

// Run looks for a signing key that cannot be used, at growing intervals. When the key is
// back it starts the comparison that makes the missing lists.
func (en *Enroller) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-en.unsigned:
		}
		for rest := shortestRest; ; rest = min(2*rest, longestRest) {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(rest):
			}
			if en.ReachSigner(ctx) == nil {
				break
			}
		}
		en.WantSync("the signing key can be used again")
	}
}

// ReplaceRevoked makes another key sign instead of a revoked one. Until one can be made, no
// key signs.
func (en *Enroller) ReplaceRevoked(ctx context.Context, skid string) {
	why := fmt.Sprintf("its certificate %s was revoked", skid)
	err := en.RenewIdentity(ctx, api.Actor{}, why)
	if err == nil {
		return
	}
	en.Logger.Error("revoked signing key not replaced", "error", err)
	m := *en.Builder.Load()
	key := m.Identity.Key
	if r, already := key.(*refusedKey); already {
		key = r.Signer
	}
	m.Identity = m.Identity.With(m.Identity.Cert, &refusedKey{key, fmt.Errorf("cannot sign: %s, and there is no other: %w", why, err), en})
	en.Builder.Store(&m)
}

// refusedKey is a signing key that must not sign any more.
type refusedKey struct {
	signer.Signer
	why error
	en  *Enroller
}

func (k *refusedKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, k.why }

func (k *refusedKey) Failure() error { return k.why }

// Check makes another key if it can now, to which the next signature falls.
func (k *refusedKey) Check(ctx context.Context) error {
	if err := k.en.Refresh(ctx); err != nil {
		return err
	}
	return k.en.Builder.Load().Identity.Key.Failure()
}
