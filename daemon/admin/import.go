// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/view"
)

// DenialsImport denies everything in a document, or, with dryRun, reports the effect. It
// takes all entries or none: the error is [api.InvalidArgument] and names the entry that it
// cannot understand. If lists could not be withdrawn, it returns the error together with the
// result, and the denials are in force.
func (ad *Admin) DenialsImport(ctx context.Context, by api.Actor, document []byte, dryRun bool) (r api.DenialImport, err error) {
	wanted, err := parseDenials(document)
	if err != nil {
		return r, &api.Error{Code: api.InvalidArgument, Message: "cannot read the document of denials: " + err.Error(),
			Advice: "it must be as digestctl deny export writes it"}
	}
	var plan []view.Planned
	prepare := func(s *ledger.Ledger) error {
		a, err := ledger.Act(s, by, "")
		if err == nil {
			plan, err = s.PlanDenials(wanted, a)
		}
		return err
	}
	if dryRun {
		err = ad.Exec.Enter(ctx, "import", prepare)
	} else {
		err = ad.denier.Change(ctx, func(s *ledger.Ledger) error {
			if err := prepare(s); err != nil {
				return err
			}
			s.CarryPlan(plan, by)
			return nil
		})
	}
	if err != nil {
		return r, err
	}
	r = ad.Snapshot().DescribePlan(plan)
	r.DryRun = dryRun
	if dryRun {
		return r, nil
	}
	r.Lists, err = ad.denier.Complete(ctx)
	return r, err
}
