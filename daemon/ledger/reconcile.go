// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store/record"
)

// Standing lists the headers whose lists need no work: published by us as the
// configuration wants them now, vouched for by a key that is still trusted.
func (s *Ledger) Standing(signer string) map[record.Digest]*view.Entry {
	m := make(map[record.Digest]*view.Entry, len(s.ByHeader))
	for digest, e := range s.ByHeader {
		if e.Active() && !e.Broken && e.Grace == "" && e.Change == "" && e.Signer == signer && s.Trusted(e) && s.Allowed(e) && s.Complete(e) {
			m[digest] = e
		}
	}
	return m
}
