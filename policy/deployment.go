// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"

	"github.com/digestd/digestd/digestlist/nevra"
)

// Retained adapts decision d to a package of a retained deployment, which the owner kept and
// booted. It permits a version that is older than an active one, or that an advisory is about;
// the text says so. Denials, floors and a doubt about the index keep their force.
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
