// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/ledger/state"
)

// roomsOf sorts the entries that an index has, as each calls its function for each.
func roomsOf(each func(fn func(seq uint64, kind string)) error) (l state.LogRooms, err error) {
	err = each(func(seq uint64, kind string) {
		if kind == audit.KindTampered {
			l.Tampering = append(l.Tampering, seq)
		} else {
			l.Decisions = append(l.Decisions, seq)
		}
	})
	return l, err
}
