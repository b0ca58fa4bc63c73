// SPDX-License-Identifier: Apache-2.0

// Package admin carries out the decisions of administrators: grants, floors, denials,
// revocations, the signing key, the order of lists. Each act is read, becomes one event of the
// ledger, and is described from the view that follows.
package admin

import (
	"github.com/digestd/digestd/daemon/deny"
	"github.com/digestd/digestd/daemon/enrol"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/keysource"
	"github.com/digestd/digestd/daemon/policyfile"
	"github.com/digestd/digestd/daemon/query"
	"github.com/digestd/digestd/daemon/reconcile"
)

// Admin carries out the acts of administrators.
type Admin struct {
	*host.Host
	keys       *keysource.Source
	enroller   *enrol.Enroller
	denier     *deny.Denier
	reconciler *reconcile.Reconciler
	policies   *policyfile.Source
	query      *query.Query
}

// New returns an Admin for h.
func New(h *host.Host, keys *keysource.Source, e *enrol.Enroller, d *deny.Denier, r *reconcile.Reconciler, p *policyfile.Source, q *query.Query) *Admin {
	return &Admin{Host: h, keys: keys, enroller: e, denier: d, reconciler: r, policies: p, query: q}
}
