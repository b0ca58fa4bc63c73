// SPDX-License-Identifier: Apache-2.0

package query

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/kernel"
)

// kernelKeys is what the kernel's keyrings hold, by key identifier or entry of .blacklist.
type kernelKeys map[string]api.Key

// InKernel returns a key of the kernel's keyrings by its key identifier, or an entry of
// .blacklist by its digest, and reports whether the kernel has it.
func (q *Query) InKernel(id string) (api.Key, bool) {
	k, there := q.readKernelKeys()[id]
	return k, there
}

// readKernelKeys asks the kernel for all keys that have a say in lists. A key in several
// keyrings is one. Keyrings that cannot be read have none: [Query.Kernel] says why.
func (q *Query) readKernelKeys() kernelKeys {
	out := kernelKeys{}
	found, err := q.Keyrings.FindAll(kernel.Rings()...)
	if err != nil {
		return out
	}
	kinds := q.Keyrings.Kinds()
	for _, ring := range found {
		keys, _ := ring.Keys()
		for _, k := range keys {
			out.add(ring.Name(), k, kinds)
		}
	}
	for _, entry := range failpoint.Blacklisted() {
		out.add(kernel.RingBlacklist, kernel.Key{Type: "blacklist", Description: entry}, nil)
	}
	return out
}

// add adds a key of a keyring; kinds are the algorithms of keys, by their number.
func (kk kernelKeys) add(ring string, k kernel.Key, kinds map[int]string) {
	subject, id, ok := k.Certificate()
	switch {
	case ok:
	case k.Type == "blacklist":
		id = k.Description
	default:
		return
	}
	out, known := kk[id]
	if !known {
		out = api.Key{Fingerprint: id, Use: api.UseKernel, Owner: subject, Algorithm: cmp.Or(k.Algorithm(), kinds[k.ID]), State: api.KeyTrusted}
		if k.Type == "blacklist" {
			out.Algorithm = grounds.DigestAlgorithm(id)
		}
	}
	if !slices.Contains(out.Keyrings, ring) {
		out.Keyrings = append(out.Keyrings, ring)
	}
	out.Source = "kernel " + strings.Join(out.Keyrings, ", ")
	if ring == kernel.RingBlacklist {
		out.State, out.RevokedBy, out.RevokedReason = api.KeyRevoked, view.SourceKernel, "named in "+view.SourceKernel
	}
	kk[id] = out
}

// named returns the keys that id names.
func (kk kernelKeys) named(id string) (found []api.Key) {
	for fingerprint, k := range kk {
		if view.NamesKey(id, fingerprint) {
			found = append(found, k)
		}
	}
	return found
}

// merge adds what the kernel says of our keys to them, and returns what it has
// besides, sorted.
func (kk kernelKeys) merge(keys []api.Key) []api.Key {
	for i, k := range keys {
		if there, ok := kk[k.Fingerprint]; ok {
			keys[i].Keyrings = there.Keyrings
			delete(kk, k.Fingerprint)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(kk)) {
		keys = append(keys, kk[id])
	}
	return keys
}
