// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/ledger/state"
	"time"
)

// Ledger takes in events. See the package comment.
type Ledger struct{ *grounds.Grounds }

// New returns an empty ledger as of now. Load fills it.
func New(s state.Settings, now time.Time) *Ledger {
	return &Ledger{&grounds.Grounds{State: state.NewState(s, now)}}
}
