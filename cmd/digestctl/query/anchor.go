// SPDX-License-Identifier: Apache-2.0

package query

import (
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
)

// printStatusAnchor prints how the index stands to its anchor, where it has one.
func printStatusAnchor(t *terminal.UI, a api.Anchor) {
	switch {
	case a.Where == "":
	case a.Standing == api.AnchorNone:
		t.Colored(terminal.Warn, "anchor", "not enabled")
	case a.Standing == api.AnchorOlder:
		t.Colored(terminal.Bad, "anchor", "the index is of epoch %d, the counter is at %d", a.Epoch, a.Value)
	case a.Standing == api.AnchorOther:
		t.Colored(terminal.Bad, "anchor", "the TPM has another counter")
	case a.Standing == api.AnchorUnreachable:
		t.Colored(terminal.Warn, "anchor", "%s", a.Text)
	default:
		t.Fact("anchor", "epoch %d, counter %d, %s", a.Epoch, a.Value, a.Standing)
	}
}
