// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"

	"github.com/digestd/digestd/digestlist/nevra"
)

// permitOnce is the advice at the end of the text of a rollback.
const permitOnce = "; to permit it once: digestctl rollback grant %s --reason WHY"

// Retained is decision d about pkg as it is where pkg is part of a whole system that the owner
// kept and that the machine was booted into: that pkg is older than what was active before is
// reported, and no reason to refuse it. What somebody decided about its version stays one: a
// denial, a floor, a doubt about the index.
func (d Decision) Retained(pkg nevra.NEVRA, deployment string) Decision {
	switch d.Reason {
	case ReasonRollback, ReasonRollbackRetired, ReasonAdvisory:
	default:
		return d
	}
	d.Verdict = Allow
	d.Text = strings.TrimSuffix(d.Text, fmt.Sprintf(permitOnce, pkg)) + "; it is part of " + deployment + ", which the machine was booted into"
	return d
}
