// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/digestlist"
)

// TornBlock is the unit in which file systems lose what was not synced.
const TornBlock = 4096

// torn reports whether data is what a loss of power leaves of a list that was renamed
// into place and not yet synced: nothing, a part of it, or blocks of zeros where it
// was never written. No kernel accepts such a list, and a whole one has no such block.
func torn(name string, data []byte) bool {
	for block := data; ; block = block[TornBlock:] {
		n := min(len(block), TornBlock)
		if zeros(block[:n]) {
			return true // also of no bytes at all
		}
		if len(block) <= TornBlock {
			break
		}
	}
	if _, _, _, err := digestlist.SplitSignature(data); err == nil {
		return false
	}
	format, _, err := ledger.FormatOf(name)
	return err == nil && digestlist.Walk(format, data, func(digestlist.Algo, []byte, []byte) error { return nil }) != nil
}

func zeros(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
