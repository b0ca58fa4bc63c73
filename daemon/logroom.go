// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"github.com/digestd/digestd/daemon/audit"
)

// roomsOf sorts the entries that an index has, as each calls its function for each.
func roomsOf(each func(fn func(seq uint64, kind string)) error) (l logRooms, err error) {
	err = each(func(seq uint64, kind string) {
		if kind == audit.KindTampered {
			l.tampering = append(l.tampering, seq)
		} else {
			l.decisions = append(l.decisions, seq)
		}
	})
	return l, err
}
