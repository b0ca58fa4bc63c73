// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/store/record"
)

// Keys returns every key that vouches or ever did, and what is in the kernel's
// keyrings.
func (d *Daemon) Keys(context.Context) ([]api.Key, error) {
	snap := d.snapshot()
	keys := make([]api.Key, 0, len(snap.keys))
	for _, fingerprint := range slices.Sorted(maps.Keys(snap.keys)) {
		keys = append(keys, snap.describeKey(snap.keys[fingerprint]))
	}
	there := d.readKernelKeys()
	return there.merge(keys), nil
}

// Key returns one key.
func (d *Daemon) Key(_ context.Context, id string) (api.Key, error) {
	snap, there := d.snapshot(), d.readKernelKeys()
	k, err := snap.findKey(id)
	if err == nil {
		return there.merge([]api.Key{snap.describeKey(k)})[0], nil
	}
	for _, k := range there.keys {
		if strings.HasSuffix(k.Fingerprint, strings.ToLower(id)) && len(id) >= 8 {
			return k, nil
		}
	}
	return api.Key{}, err
}

// KeyRevoke withdraws all that a key vouches for.
func (d *Daemon) KeyRevoke(ctx context.Context, by api.Actor, id, reason string) (api.Key, error) {
	return d.revokeKey(ctx, by, id, reason)
}

// KeyRestore lifts a revocation.
func (d *Daemon) KeyRestore(ctx context.Context, by api.Actor, id, reason string) (api.Key, error) {
	return d.restoreKey(ctx, by, id, reason)
}

func (s *snapshot) describeKey(k record.Key) api.Key {
	out := api.Key{
		Fingerprint: k.Fingerprint, Owner: k.Owner, Algorithm: k.Algorithm, Source: k.Source, State: api.KeyTrusted,
		Created: k.Created, Expires: k.Expires, Subkeys: k.Subkeys, FirstSeen: k.FirstSeen,
	}
	switch k.Use {
	case useLists:
		return s.describeSigner(k, out)
	case useDigest:
		return s.describeBanned(k, out)
	}
	out.Use = k.Use
	c := s.keyring.Lookup(k.Fingerprint)
	if c != nil {
		out.Weak, out.Held = c.Weak, heldOf(c)
	}
	switch {
	case k.Revoked != nil:
		describeRevocation(k, &out)
	case c == nil && (k.Use != useImport || !k.Gone.IsZero()):
		out.State = api.KeyGone
	case c != nil && c.Weak != "":
		out.State = api.KeyWeak
	case expired(k.Expires, time.Now()):
		out.State = api.KeyExpired
	}
	for _, e := range s.entries {
		switch {
		case e.Key != k.Fingerprint:
		case e.active():
			out.Lists++
			out.Files += e.Files
		case e.State == record.Withheld:
			out.Withheld++
		}
	}
	return out
}

func describeRevocation(k record.Key, out *api.Key) {
	out.State = api.KeyRevoked
	out.RevokedBy, out.RevokedReason = k.Revoked.Source, k.Revoked.Reason
	out.RevokedAt, out.RevokedUID = k.Revoked.When, k.Revoked.UID
}

// describeBanned describes a digest that nothing may have: lists leave it out, or
// are withheld.
func (s *snapshot) describeBanned(k record.Key, out api.Key) api.Key {
	out.Use, out.State = useDigest, api.KeyGone // lifted
	if k.Revoked != nil {
		describeRevocation(k, &out)
	}
	only, id := ban([]string{k.Fingerprint}), bannedDenial(k.Fingerprint).ID
	for _, e := range s.entries {
		switch leaves := slices.Contains(e.Denied, id); {
		case leaves && e.active():
			out.Lists++
		case e.State == record.Withheld && (leaves || only.list(e.Body) != ""):
			out.Withheld++
		}
	}
	return out
}

// describeSigner describes a key that signs lists: "vouching" is signing.
func (s *snapshot) describeSigner(k record.Key, out api.Key) api.Key {
	out.Use = useLists
	if k.Revoked != nil {
		describeRevocation(k, &out)
	} else if k.Fingerprint != s.signer {
		out.State = api.KeyGone
	}
	for _, e := range s.entries {
		if e.active() && e.Signer == k.Fingerprint {
			out.Lists++
			out.Files += e.Files
		}
	}
	return out
}
