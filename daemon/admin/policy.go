// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/store/record"
)

// PolicyForget lifts what stayed of a policy whose file is gone, and returns what that was.
// [api.NotFound] says that there is no policy of that name, [api.Failed] that its file
// counts still.
func (ad *Admin) PolicyForget(ctx context.Context, by api.Actor, name, reason string) (api.Policy, error) {
	was, err := ad.query.Policy(ctx, name)
	if err != nil {
		return api.Policy{}, err
	}
	return was, ad.policies.Forget(ctx, name, func(s *ledger.Ledger) (record.Act, error) { return ledger.Act(s, by, reason) })
}
