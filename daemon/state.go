// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"time"

	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/policy"
)

// newState makes the state that c asks for, by what an index has, or had before it was
// rebuilt.
func newState(c config.Config, mode policy.Mode, unsigned policy.Unsigned, now time.Time) *state {
	return &state{
		mode: mode, multi: c.MultiVersion, boot: bootID(), clock: now, plan: &plan{},
		keepOld: c.KeepOld == keepUntilRestart, noExpired: c.Expired == "withdraw", unsigned: unsigned, rules: verifierRules(),
		labels: labelsLeft{files: map[string]leftLabel{}, stale: map[string]bool{}},
		open:   map[*transaction]bool{}, since: now, stateDir: c.State, listDir: c.Lists,
		waits: c.AuditTrail != trailNone,
	}
}
