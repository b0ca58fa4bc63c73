// SPDX-License-Identifier: Apache-2.0

package ledger

// Show lets readers see the state when the plan is carried out.
func (s *Ledger) Show() { s.Plan.Show = true }
