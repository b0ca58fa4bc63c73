// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"slices"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/store/record"
)

// maxReason bounds what an administrator may give as a reason.
const maxReason = 1024

func Act(s *Ledger, by api.Actor, reason string) (record.Act, error) {
	if len(reason) > maxReason {
		return record.Act{}, api.Errorf(api.InvalidArgument, "reason is longer than %d bytes", maxReason)
	}
	return record.Act{UID: by.UID, PID: by.PID, Reason: reason, When: s.Now()}, nil
}

// GrantedBelow reports whether a grant lets a version below evr be active, or did. A
// floor that is set again is newer than that.
func (s *Ledger) GrantedBelow(id view.LineID, evr nevra.EVR) bool {
	return slices.ContainsFunc(s.Lines[id].Grants, func(g record.Grant) bool { return nevra.Compare(g.EVR, evr) < 0 }) ||
		slices.ContainsFunc(s.ByLine[id], func(e *view.Entry) bool { return e.Granted && nevra.Compare(e.Package.EVR, evr) < 0 })
}
