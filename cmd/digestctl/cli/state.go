// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
)

// StateStyle is how the state of a list is printed.
func StateStyle(state string) terminal.Style {
	switch state {
	case api.StateActive:
		return terminal.Good
	case api.StateWithheld:
		return terminal.Warn
	case api.StateQuarantined:
		return terminal.Bad
	}
	return terminal.Plain
}
