// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"slices"

	"github.com/digestd/digestd/daemon/api"
)

// WithdrawUnknown has the lists of ours leave the directory that the index does not
// know, where a transaction that was cut short, or that another digestd began, may have
// left some. Only the next comparison can say what vouches for them. An act that forbids
// lists cannot wait for it; the comparison then brings back what may be there.
func (s *Grounds) WithdrawUnknown() {
	if s.Unsettled {
		s.Intend()
		s.Plan.Unknown = true
		s.Sync()
		s.Record()
	}
}

// rebuilding reports whether the index was lost and no comparison has filled the new one
// yet: then it knows none of the lists, and to withdraw them all would leave the machine
// without lists until that is over, which is soon.
func (s *Grounds) rebuilding() bool {
	return s.LastSync.When.IsZero() && slices.ContainsFunc(s.Problems, func(p api.Problem) bool { return p.ID == ProblemIndexLost })
}
