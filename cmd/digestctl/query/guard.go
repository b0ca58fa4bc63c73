// SPDX-License-Identifier: Apache-2.0

package query

import (
	"fmt"
	"time"

	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
)

// printStatusGuard prints what the guard in the kernel does, where it is configured.
func printStatusGuard(t *terminal.UI, g api.Guard) {
	switch {
	case g.Mode == "":
	case g.Mode == api.GuardUnknown:
		t.Colored(terminal.Bad, "guard", "%s", g.Why)
	case g.Why != "":
		t.Colored(terminal.Warn, "guard", "mode %s, not %s: %s", g.Mode, g.Wanted, g.Why)
	default:
		text := "mode " + g.Mode
		if g.Trial > 0 {
			text += fmt.Sprintf(" for %v more", g.Trial.Round(time.Second))
		}
		t.Fact("guard", "%s, %d digests, %d refused, %d would have been in mode enforce", text, g.Digests, g.Counts.Refused, g.Counts.Missed-min(g.Counts.Refused, g.Counts.Missed))
	}
	if g.Doubt != "" && g.Doubt != g.Why {
		t.Colored(terminal.Warn, "", "mode enforce is not available: %s", g.Doubt)
	}
	if n := g.Counts.Lost + g.Counts.Dropped; n > 0 {
		t.Colored(terminal.Warn, "", "%d of its refusals are in no log", n)
	}
}
