// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"crypto"
	"fmt"
	"io"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/signer"
)

const (
	// reachTimeout bounds one look for the signing key.
	reachTimeout = 15 * time.Second
	// shortestRest and longestRest lie between two looks for one that is away.
	shortestRest, longestRest = time.Second, 30 * time.Second
)

// tellOfSigner looks for the signing key before anything is to be signed, so that
// a start says whether it is there.
func (en *Enroller) tellOfSigner(ctx context.Context) {
	m := en.maker.Load()
	if m.sign != "pkcs7" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	if err := m.identity.key.Check(ctx); err != nil {
		en.log.Error("signing key not found", "error", err, "file", m.identity.keyPath(),
			"advice", "make the token or TPM reachable, which the file names; if the key is lost: digestctl keys rotate makes another")
		return
	}
	en.log.Info("signing key found", "in", m.identity.key.String())
}

// reachSigner looks for the signing key, if it could not be used the last time.
func (en *Enroller) reachSigner(ctx context.Context) error {
	key := en.maker.Load().identity.key
	if key.Failure() == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	return key.Check(ctx)
}

// followSigner tells the administrator of a signing key that cannot be used, and
// has it looked for until it can.
func (en *Enroller) followSigner(ctx context.Context) {
	err := en.maker.Load().identity.key.Failure()
	en.exec.Enter(ctx, "note", func(s *ledger.Ledger) error {
		if err == nil {
			s.Solved("signing-key")
		} else {
			s.Problem("signing-key", api.SeverityError, err.Error()+"; packages get no new lists, the lists there are stay",
				"make the key reachable: digestd goes on trying; or at once: digestctl sync")
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

// signerLoop looks for a signing key that cannot be used, ever more rarely, and
// then has the lists made that are missing.
func (en *Enroller) signerLoop(ctx context.Context) error {
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
			if en.reachSigner(ctx) == nil {
				break
			}
		}
		en.wantSync("the signing key can be used again")
	}
}

// replaceRevoked lets another key sign than one that was revoked. As long as none
// can be made, none signs.
func (en *Enroller) replaceRevoked(ctx context.Context, skid string) {
	why := fmt.Sprintf("its certificate %s was revoked", skid)
	err := en.renewIdentity(ctx, api.Actor{}, why)
	if err == nil {
		return
	}
	en.log.Error("revoked signing key not replaced", "error", err)
	m := *en.maker.Load()
	id := *m.identity
	if r, already := id.key.(*refusedKey); already {
		id.key = r.Signer
	}
	id.key = &refusedKey{id.key, fmt.Errorf("cannot sign: %s, and there is no other: %w", why, err), en}
	m.identity = &id
	en.maker.Store(&m)
}

// refusedKey is a signing key that must not sign any more.
type refusedKey struct {
	signer.Signer
	why error
	en  *Enroller
}

func (k *refusedKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, k.why }
func (k *refusedKey) Failure() error                                            { return k.why }

// Check makes another key if it can now, to which the next signature falls.
func (k *refusedKey) Check(ctx context.Context) error {
	if err := k.en.refresh(ctx); err != nil {
		return err
	}
	return k.en.maker.Load().identity.key.Failure()
}
