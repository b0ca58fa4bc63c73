// SPDX-License-Identifier: Apache-2.0

package query

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/kernel"
)

// useKernel marks what is in the kernel's keyrings and nothing of ours.
const useKernel = api.UseKernel

// kernelKeys is what the kernel's keyrings hold, by key identifier or entry.
type kernelKeys struct {
	ByID map[string]api.Key
	err  error
}

// ReadKernelKeys asks the kernel for all keys that have a say in lists. A key in
// several keyrings is one.
func (q *Query) ReadKernelKeys() kernelKeys {
	out := kernelKeys{ByID: map[string]api.Key{}}
	found, err := q.Keyrings.FindAll(kernel.Rings()...)
	if out.err = err; err != nil {
		return out
	}
	kinds := q.Keyrings.Kinds()
	for _, ring := range found {
		keys, err := ring.Keys()
		if err != nil {
			out.err = errors.Join(out.err, err)
		}
		for _, k := range keys {
			out.add(ring.Name(), k, kinds)
		}
	}
	for _, entry := range failpoint.Blacklisted() {
		out.add(kernel.RingBlacklist, kernel.Key{Type: "blacklist", Description: entry}, nil)
	}
	return out
}

func (kk *kernelKeys) add(ring string, k kernel.Key, kinds map[int]string) {
	subject, id, ok := k.Certificate()
	switch {
	case ok:
	case k.Type == "blacklist":
		id = k.Description
	default:
		return
	}
	out, known := kk.ByID[id]
	if !known {
		out = api.Key{Fingerprint: id, Use: useKernel, Owner: subject, Algorithm: cmp.Or(k.Algorithm(), kinds[k.ID]), State: api.KeyTrusted}
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
	kk.ByID[id] = out
}

// merge adds what the kernel says of our keys to them, and returns what it has
// besides, sorted.
func (kk *kernelKeys) merge(keys []api.Key) []api.Key {
	for i, k := range keys {
		if there, ok := kk.ByID[k.Fingerprint]; ok {
			keys[i].Keyrings = there.Keyrings
			delete(kk.ByID, k.Fingerprint)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(kk.ByID)) {
		keys = append(keys, kk.ByID[id])
	}
	return keys
}
