// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"time"

	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/policy"
)

// newState makes the state that c asks for, by what an index has, or had before it was
// rebuilt.
func newState(c config.Config, mode policy.Mode, unsigned policy.Unsigned, now time.Time) *ledger.Ledger {
	return &ledger.Ledger{
		Mode: mode, Multi: c.MultiVersion, Boot: bootID(), Clock: now, Plan: &ledger.Plan{},
		KeepOld: c.KeepOld == keepUntilRestart, NoExpired: c.Expired == "withdraw", Unsigned: unsigned, Rules: verifierRules(),
		Labels: ledger.LabelsLeft{Files: map[string]ledger.LeftLabel{}, Stale: map[string]bool{}},
		Open:   map[*ledger.Transaction]bool{}, Since: now, StateDir: c.State, ListDir: c.Lists,
		Waits: c.AuditTrail != ledger.TrailNone,
	}
}
