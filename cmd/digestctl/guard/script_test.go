// SPDX-License-Identifier: Apache-2.0

package guard_test

import (
	"testing"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/ctltest"
	"github.com/digestd/digestd/cmd/digestctl/guard"
	"github.com/digestd/digestd/cmd/digestctl/own"
	"github.com/digestd/digestd/cmd/digestctl/query"
	"github.com/spf13/cobra"
)

func TestMain(m *testing.M) {
	ctltest.Main(m, func(a *cli.App) []*cobra.Command {
		return []*cobra.Command{guard.Command(a), own.Command(a), query.Log(a), query.Status(a), query.Why(a)}
	})
}

// Sessions of digestctl with these verbs.
func TestScripts(t *testing.T) { ctltest.Scripts(t) }
