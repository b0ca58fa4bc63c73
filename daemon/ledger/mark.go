// SPDX-License-Identifier: Apache-2.0

package ledger

// ClearMark queues that the mark goes, if everything is recorded that may be in the
// directory. It stays for what is under way, and for what still has to be looked into.
func (s *Ledger) ClearMark() {
	if len(s.Open) == 0 && !s.Unsettled && (s.MetaMark.Queued || s.MetaMark.Durable) {
		s.PutMark(&s.Queue, false)
	}
}
