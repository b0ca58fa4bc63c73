// SPDX-License-Identifier: Apache-2.0

package query

import (
	"context"
	"slices"
	"strings"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/enrol"
	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/kernel"
)

// Kernel asks the kernel which features for lists it has, and whether it knows the
// certificate that signs them. If the keyrings cannot be read, Keys gives the reason and is
// otherwise empty.
func (q *Query) Kernel() api.Kernel {
	f := kernel.Detect("/")
	k := api.Kernel{
		Release: f.Release, DigestCache: string(f.DigestCache), DefaultPath: f.DefaultPath, IMA: string(f.IMA),
		Appraisal: string(f.Appraisal), AppraiseMode: f.Mode, Appraises: string(f.Rules), AppraiseLists: string(f.Lists), Modsig: string(f.Modsig),
	}
	rings, err := q.Keyrings.FindAll(kernel.RingIMA, kernel.RingIMAOpen, kernel.RingBlacklist)
	if err != nil {
		k.Keys = err.Error()
		return k
	}
	pace, auto, _ := q.Config.Poll()
	k.Notifications = q.Keyrings.Notifications()
	signer := q.Builder.Load().Identity.SKI()
	for _, ring := range rings {
		if ring.Name() == kernel.RingBlacklist {
			k.BlacklistOpen = ring.Writable()
			ids, _ := ring.IDs()
			k.Blacklisted = len(ids) + len(failpoint.Blacklisted())
			continue
		}
		if k.Keyring == "" {
			k.Keyring, k.KeyringOpen = ring.Name(), ring.Writable()
		}
		ids, err := enrol.KeyIn(ring, signer)
		k.Enrolled = k.Enrolled || err == nil && len(ids) > 0
	}
	if !k.Notifications && (!auto || k.BlacklistOpen) {
		k.Poll = pace
	}
	return k
}

// Retired returns a page of the lists that must not come back, by their entries for the
// kernel's .blacklist. It reads the index, so it returns only durable entries.
func (q *Query) Retired(_ context.Context, offset, limit uint32) (lists []api.Retired, total uint32, err error) {
	retired, err := q.Index.Retired()
	if err != nil {
		return nil, 0, err
	}
	all := make([]api.Retired, 0, len(retired))
	for _, r := range retired {
		if r.Own != "" {
			r.Package = ledger.OwnPackage(r.Own, r.Version)
		}
		// The kernel looks for the digest by which the list was signed.
		entry := view.BinPrefix + r.Body.String()
		if r.Wide != "" {
			entry = view.BinPrefix + r.Wide
		}
		all = append(all, api.Retired{Entry: entry, List: r.List, Package: r.Package.Full(), Reason: r.Reason, When: r.When})
	}
	slices.SortFunc(all, func(a, b api.Retired) int { return strings.Compare(a.Entry, b.Entry) })
	lists, total = page(all, offset, limit)
	return lists, total, nil
}
