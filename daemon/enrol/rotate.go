// SPDX-License-Identifier: Apache-2.0

package enrol

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store/record"
)

// RenewIdentity makes the prepared identity, or a new one, the one that signs. The
// signatures of the former one stay valid until the next comparison has signed the lists
// again.
func (en *Enroller) RenewIdentity(ctx context.Context, by api.Actor, reason string) error {
	en.rotation.Lock()
	defer en.rotation.Unlock()
	old := en.Builder.Load()
	// Once the files have changed there is no way back: see first that it can be
	// recorded.
	if err := en.Exec.Decide(ctx, "probe", (*ledger.Ledger).Probe); err != nil {
		return fmt.Errorf("cannot change the signing key: %w", err)
	}
	if _, err := en.prepare(ctx); err != nil {
		return err
	}
	if err := en.tryPrepared(ctx); err != nil {
		return fmt.Errorf("cannot change the signing key: %w", err)
	}
	id, err := en.Identities.Follow(ctx, en.Now())
	if err != nil {
		return err
	}
	m := *old
	m.Identity = id
	err = en.Exec.Enter(ctx, "rotate", func(s *ledger.Ledger) error {
		en.Builder.Store(&m)
		old.Identity.Key.Release()
		s.Signer = m.Signer()
		s.Basis++
		s.Certificates = append([]*x509.Certificate{id.Cert}, s.Certificates...)
		s.MeetSigner(id.Cert, id.Path)
		s.Solved(foreignKey)
		sum := sha256.Sum256(id.Cert.Raw)
		s.Queue.Batch.SetMeta(grounds.MetaCertificate, sum[:])
		if k, known := s.Keys[old.Identity.SKI()]; known {
			k.Source, k.Gone = filepath.Join(en.Config.State, view.OldDir, old.Identity.SKI()+".crt"), s.Now()
			s.SetKey(k)
		}
		s.Log.Warn("signing key changed", "old", old.Identity.SKI(), "new", id.SKI(), "reason", reason)
		s.Event(record.Event{Kind: audit.KindSignerChanged, Key: id.SKI(), Text: reason, UID: by.UID, PID: by.PID})
		s.Record()
		return nil
	})
	if err != nil && en.Builder.Load().Identity == id {
		en.Logger.Error("change of the signing key not recorded yet", "error", err)
		return nil // it has happened
	}
	return err
}

// prepare makes the identity that will sign next and returns the path of its
// certificate.
func (en *Enroller) prepare(ctx context.Context) (string, error) {
	path, err := en.Identities.Prepare(ctx, en.Now(), en.Builder.Load().Identity.Key.Release)
	if err != nil {
		return "", fmt.Errorf("cannot make a new signing key: %w", err)
	}
	return path, nil
}

// tryPrepared sees that the prepared identity can sign, before it takes over.
func (en *Enroller) tryPrepared(ctx context.Context) error {
	return en.Identities.Try(ctx, en.Builder.Load().Identity.Key.Release)
}

// PrepareNext does what prepare does, while no other change of the key goes on.
func (en *Enroller) PrepareNext(ctx context.Context) (string, error) {
	en.rotation.Lock()
	defer en.rotation.Unlock()
	return en.prepare(ctx)
}

// ReadySuccessor checks that another identity can take over: one is prepared, it can sign,
// and if the kernel accepts lists by the present identity it also accepts lists by the
// prepared one. Otherwise a kernel that enforces would refuse every file for which only
// lists vouch.
func (en *Enroller) ReadySuccessor(ctx context.Context) error {
	if en.Builder.Load().Sign != ledger.SignPKCS7 {
		return nil
	}
	en.rotation.Lock()
	_, err := en.prepare(ctx)
	if err == nil {
		err = en.tryPrepared(ctx)
	}
	en.rotation.Unlock()
	if err != nil {
		return err
	}
	return en.followEnrolment()
}

// Revocable returns nil, or the reason why the certificate with that key identifier must not
// be revoked now: it signs the lists, and no other can.
func (en *Enroller) Revocable(ctx context.Context, skid string) error {
	if skid != en.Builder.Load().Identity.SKI() || en.Snapshot().Keys[skid].Revoked != nil {
		return nil
	}
	err := en.ReadySuccessor(ctx)
	if err == nil {
		return nil
	}
	refused := &api.Error{Code: api.Failed, Message: "cannot revoke the key that signs lists, because there is no next key: " + err.Error(),
		Advice: "prepare one: digestctl keys rotate --prepare"}
	var why *api.Error
	if errors.As(err, &why) && why.Advice != "" {
		refused.Advice = strings.TrimSuffix(why.Advice, "; then rotate") + "; then revoke"
	}
	return refused
}
