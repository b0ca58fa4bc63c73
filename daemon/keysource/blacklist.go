// SPDX-License-Identifier: Apache-2.0

package keysource

import (
	"context"
	"slices"

	"github.com/digestd/digestd/daemon/enrol"
	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/kernel"
)

// ReadBlacklist reads the kernel's .blacklist. If the kernel does not answer, the recorded
// entries stay.
func (ks *Source) ReadBlacklist() (b state.Blacklisted, err error) {
	b.Entries, b.KeyIDs = map[string]bool{}, map[string]bool{}
	for _, entry := range failpoint.Blacklisted() {
		b.Entries[entry], b.Known = true, true
	}
	ring, err := ks.Keyrings.Find(kernel.RingBlacklist)
	if err != nil {
		return b, enrol.OutOfReach(err)
	}
	keys, err := ring.Keys()
	if err != nil {
		return b, err
	}
	b.Known = true
	for _, k := range keys {
		if _, id, ok := k.Certificate(); ok {
			b.KeyIDs[id] = true
		} else if k.Type == "blacklist" {
			b.Entries[k.Description] = true
		}
	}
	return b, nil
}

// denyBlacklisted has lists leave out the files that are named. It is called with
// keyMutex held.
func (ks *Source) denyBlacklisted(ctx context.Context, b *view.Banned) error {
	if b == nil || slices.Equal(b.Entries, ks.banned) {
		return nil
	}
	if err := ks.Denier.SetOthers(ctx, view.SourceKernel, b.Denials()); err != nil {
		return err
	}
	ks.banned = b.Entries
	return nil
}
