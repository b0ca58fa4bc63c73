// SPDX-License-Identifier: Apache-2.0

package api

import (
	"strings"

	"github.com/digestd/digestd/policy"
)

// Decide sets the verdict, reason, text and advice that follow from a decision about a package
// that is not installed yet.
func (c *Check) Decide(d policy.Decision) {
	c.Reason, c.Denial = string(d.Reason), d.Denial
	c.Text, c.Advice, _ = strings.Cut(d.Text, "; ")
	switch {
	case d.Reason == policy.ReasonNoFiles:
		c.Verdict = CheckNeedless
	case d.Verdict == policy.Veto:
		c.Verdict = CheckRefused
	case d.Verdict == policy.WithholdList:
		c.Verdict = CheckWithheld
	default:
		c.Verdict = CheckAllowed
		if d.Grant {
			c.Text, c.Advice = c.NEVRA+" would be installed with a list, by the grant for it", ""
		} else if d.Text == "" {
			c.Text = c.NEVRA + " would be installed with a list"
		}
	}
}
