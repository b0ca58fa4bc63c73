// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/store/record"
)

// PolicyForget lifts the rules that stayed in force of a policy whose file is gone, and
// returns them. The error is [api.NotFound] if there is no policy of that name, and
// [api.Failed] if its file still counts.
func (ad *Admin) PolicyForget(ctx context.Context, by api.Actor, name, reason string) (api.Policy, error) {
	was, err := ad.query.Policy(ctx, name)
	if err != nil {
		return api.Policy{}, err
	}
	return was, ad.policies.Forget(ctx, name, func(s *ledger.Ledger) (record.Act, error) { return ledger.Act(s, by, reason) })
}
