// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/keysource"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store/record"
)

// KeyRevoke withdraws all that a key vouches for: when it answers, no such list is in the
// directory. text is a fingerprint or the end of one; a whole fingerprint may be of a key
// that is not known yet. [api.NotFound] says that no key has that name, [api.Unchanged] that
// it is revoked and nothing is left of it, [api.Failed] that it signs lists and no other can.
func (ad *Admin) KeyRevoke(ctx context.Context, by api.Actor, text, reason string) (api.Key, error) {
	k, err := ad.Snapshot().FindKey(text)
	if err != nil {
		if k.Fingerprint = pgp.ParseFingerprint(text); k.Fingerprint == "" {
			return api.Key{}, err
		}
		if there, known := ad.query.InKernel(k.Fingerprint); known {
			return api.Key{}, api.Errorf(api.InvalidArgument, "%s is only in the kernel's keyring (%s); it does not vouch for packages or sign lists here", k.Fingerprint, there.Source)
		}
	}
	if err := ad.enroller.Revocable(ctx, k.Fingerprint); err != nil {
		return api.Key{}, err
	}
	err = ad.Exec.Decide(ctx, "revoke", func(s *ledger.Ledger) error {
		a, err := ledger.Act(s, by, reason)
		if err != nil {
			return err
		}
		if !s.Note(k.Fingerprint, record.KeyRevocation{Source: grounds.SourceAdministrator, Hard: true, Act: a}, s.Now()) && !s.Vouches(k.Fingerprint) {
			return api.Errorf(api.Unchanged, "key %s is revoked already, by %s", k.Fingerprint, s.Keys[k.Fingerprint].Revoked.Source)
		}
		s.CarryOut(k.Fingerprint)
		s.Rekey()
		s.WithdrawRefused(false)
		s.WithdrawUnknown()
		return nil
	})
	if err != nil {
		return api.Key{}, err
	}
	// The key is revoked: what fails from here on is repeated by reconciliations.
	if err := ad.keys.Refresh(ctx, true); err != nil {
		ad.Logger.Error("keyring not refreshed", "error", err)
	}
	if k.Use == view.UseLists {
		if _, err := ad.reconciler.Run(ctx, "the signing key was revoked", func(string, int, int) {}); err != nil {
			ad.Logger.Error("sync failed", "reason", "the signing key was revoked", "error", err)
		}
	} else {
		// Packages that another key signed as well get their lists back.
		ad.WantSync("a key was revoked")
	}
	snap := ad.Snapshot()
	return snap.DescribeKey(snap.Keys[k.Fingerprint], ad.Now()), nil
}

// KeyRestore lifts a revocation. Only what is said anew can revoke the key again.
// [api.NotFound] says that no key has that name, [api.Unchanged] that it is not revoked,
// [api.InvalidArgument] that something else than an administrator's word revokes it, or
// that it signed lists here.
func (ad *Admin) KeyRestore(ctx context.Context, by api.Actor, text, reason string) (api.Key, error) {
	snap := ad.Snapshot()
	k, err := snap.FindKey(text)
	if err != nil {
		if k.Fingerprint = snap.FindUnread(text); k.Fingerprint == "" {
			return api.Key{}, err
		}
	}
	// The act overrules a revocation that cannot be verified, if that is the reason against the
	// key.
	var overruled map[string][]string
	if k.Revoked == nil || k.Revoked.Unread {
		overruled = snap.UnreadOf(k.Fingerprint)
	}
	if k.Use == view.UseLists {
		return api.Key{}, api.Errorf(api.InvalidArgument, "%s signed lists here and was replaced; it cannot be restored", k.Fingerprint)
	}
	if k.Revoked == nil && len(overruled) == 0 {
		return api.Key{}, api.Errorf(api.Unchanged, "key %s is not revoked", k.Fingerprint)
	}
	if b, err := ad.keys.ReadBlacklist(); k.Use == view.UseDigest && (err != nil || b.Entries[k.Fingerprint]) {
		return api.Key{}, errors.Join(err, &api.Error{Code: api.InvalidArgument, Message: view.SourceKernel + " names " + k.Fingerprint,
			Advice: "the kernel drops it at the next boot, unless its firmware or " + ad.Config.Blacklist + " names it again"})
	}
	if c := snap.RevokedByItself(k); k.Revoked != nil && k.Revoked.Source == grounds.SourceCertificate && !k.Revoked.Unread && c != nil {
		return api.Key{}, &api.Error{Code: api.InvalidArgument,
			Message: fmt.Sprintf("key %s was revoked by its owner, in %s", k.Fingerprint, c.Source),
			Advice:  "remove this certificate first; only a certificate without the revocation can be trusted"}
	}
	revoked, _ := keysource.ReadRevoked(ad.Config.Revoked, ad.Snapshot().Certificates)
	for _, r := range revoked {
		if r.Fingerprint == k.Fingerprint {
			return api.Key{}, &api.Error{Code: api.InvalidArgument,
				Message: fmt.Sprintf("key %s is revoked by %s", k.Fingerprint, r.File), Advice: "remove that file first"}
		}
	}
	if name := snap.PolicyRevoking(k.Fingerprint); name != "" {
		return api.Key{}, &api.Error{Code: api.InvalidArgument, Message: fmt.Sprintf("key %s is revoked by the policy %s", k.Fingerprint, name),
			Advice: "install a release of the policy that does not revoke it; see digestctl policy show " + name}
	}
	err = ad.Exec.Decide(ctx, "restore", func(s *ledger.Ledger) error {
		a, err := ledger.Act(s, by, reason)
		if err != nil {
			return err
		}
		if k, known := s.Keys[k.Fingerprint]; known {
			k.Revoked = nil
			s.SetKey(k)
		}
		for owner, digests := range overruled {
			k := s.Keys[owner]
			k.Overruled = slices.Compact(slices.Sorted(slices.Values(append(digests, k.Overruled...))))
			s.SetKey(k)
		}
		s.Event(record.Event{Kind: audit.KindKeyRestored, Key: k.Fingerprint, Text: a.Reason, UID: a.UID, PID: a.PID})
		return nil
	})
	if err != nil {
		return api.Key{}, err
	}
	if err := ad.keys.Refresh(ctx, true); err != nil {
		ad.Logger.Error("keyring not refreshed", "error", err) // and again by the reconciliation
	}
	ad.WantSync("a key was restored")
	snap = ad.Snapshot()
	if _, known := snap.Keys[k.Fingerprint]; !known { // a subkey
		for owner := range overruled {
			k.Fingerprint = owner
		}
	}
	return snap.DescribeKey(snap.Keys[k.Fingerprint], ad.Now()), nil
}
