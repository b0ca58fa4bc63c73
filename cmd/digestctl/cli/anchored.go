// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
)

// SayAnchored prints a warning if the decision is not anchored yet.
func SayAnchored(a *App, how string) {
	if how == api.AnchorPending {
		a.UI.Say(terminal.Warn, "it is in force, and not anchored yet: until it is, an older state directory could undo it; see digestctl anchor status")
	}
}
