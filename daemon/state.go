// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"time"

	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/policy"
)

// newState makes the state that c asks for, by what an index has, or had before it was
// rebuilt.
func newState(c config.Config, mode policy.Mode, unsigned policy.Unsigned, now time.Time) *ledger.Ledger {
	l := ledger.New(state.Settings{
		Mode: mode, Multi: c.MultiVersion, Unsigned: unsigned, KeepOld: c.KeepOld == keepUntilRestart, NoExpired: c.Expired == "withdraw",
		Rules: verifierRules(), ListDir: c.Lists, StateDir: c.State, Boot: bootID(),
	}, now)
	l.Waits = c.AuditTrail != state.TrailNone
	return l
}
