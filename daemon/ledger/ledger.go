// SPDX-License-Identifier: Apache-2.0

package ledger

import "time"

// Ledger takes in events. See the package comment.
type Ledger struct{ *Grounds }

// New returns an empty ledger as of now. Load fills it.
func New(s Settings, now time.Time) *Ledger { return &Ledger{&Grounds{NewState(s, now)}} }
