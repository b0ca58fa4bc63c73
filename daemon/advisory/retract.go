// SPDX-License-Identifier: Apache-2.0

package advisory

import (
	"context"

	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/view"
)

// keepers says which of the lists that are due must stay, and why.
func (a *Adviser) keepers(context.Context) func(*view.Entry) string {
	return func(*view.Entry) string { return "" }
}

func (a *Adviser) retract(*ledger.Ledger, func(*view.Entry) string) {}
