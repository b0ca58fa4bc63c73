// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/digestd/digestd/daemon/api"
)

var memoryKeys = []api.Key{
	{Fingerprint: "0d1e2f3a4b5c6d7e8f90a1b2c3d4e5f60718293a", Owner: "Old Vendor <old@vendor.example>", Algorithm: "rsa2048",
		Source: "gpg-pubkey-0718293a-1", State: api.KeyRevoked, Created: noon, FirstSeen: noon, RevokedBy: "administrator",
		RevokedReason: "stolen", RevokedAt: noon, RevokedUID: 4000000001, Withheld: 2},
	{Fingerprint: vendorKey, Owner: "Vendor <security@vendor.example>", Algorithm: "ed25519", Source: "gpg-pubkey-e7d6c5b4-1",
		State: api.KeyTrusted, Created: noon, Expires: noon.AddDate(1, 0, 0), FirstSeen: noon, Lists: 1, Files: 3},
}

func (m *memoryDaemon) Keys(context.Context) ([]api.Key, error) { return memoryKeys, nil }

func (m *memoryDaemon) Key(_ context.Context, id string) (api.Key, error) {
	for _, k := range memoryKeys {
		if k.Fingerprint == id {
			return k, nil
		}
	}
	return api.Key{}, &api.Error{Code: api.NotFound, Message: "no key " + id + " is known here", Advice: "see digestctl keys"}
}

func (m *memoryDaemon) KeyRevoke(ctx context.Context, _ api.Actor, id, _ string) (api.Key, error) {
	return m.Key(ctx, id)
}

func (m *memoryDaemon) SignerRotate(context.Context, api.Actor, bool, string) (api.Certificate, error) {
	return api.Certificate{Subject: "CN=test", SKI: "0011aabb", Path: "/var/lib/digestd/signing.crt"}, nil
}

func (m *memoryDaemon) KeyRestore(ctx context.Context, _ api.Actor, id, _ string) (api.Key, error) {
	return m.Key(ctx, id)
}

func (m *memoryDaemon) PackagesAnnounced() {}
