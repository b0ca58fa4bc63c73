// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"os"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/rpmdb/pgp"
	"golang.org/x/sys/unix"
)

// newState makes the state that c asks for, by what an index has, or had before it was
// rebuilt.
func newState(c config.Config, mode policy.Mode, unsigned policy.Unsigned, now time.Time) *ledger.Ledger {
	l := ledger.New(state.Settings{
		Mode: mode, Multi: c.MultiVersion, Unsigned: unsigned, KeepOld: c.KeepOld == keepUntilRestart, NoExpired: c.Expired == "withdraw",
		Rules: verifierRules(), ListDir: c.Lists, StateDir: c.State, Boot: bootID(),
	}, now)
	l.RefuseOlder = c.DeploymentRollback == config.DeploymentRefuse
	l.Waits = c.AuditTrail != state.TrailNone
	return l
}

// verifierRules names the rules by which this digestd verifies. Each release has its
// own: what another release has verified is verified again.
func verifierRules() string { return fmt.Sprint(pgp.Rules, " ", api.Version) }

// bootID names this boot of the machine; a grace that names another is over.
func bootID() string {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil || len(data) < 36 {
		// Without /proc every start counts as a boot: grace ends early, never late.
		var info unix.Sysinfo_t
		unix.Sysinfo(&info)
		return fmt.Sprintf("unknown-%d-%d", os.Getpid(), info.Uptime)
	}
	return string(data[:36])
}
