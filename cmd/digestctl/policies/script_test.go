// SPDX-License-Identifier: Apache-2.0

package policies_test

import (
	"testing"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/ctltest"
	"github.com/digestd/digestd/cmd/digestctl/policies"
	"github.com/spf13/cobra"
)

func TestMain(m *testing.M) {
	ctltest.Main(m, func(a *cli.App) []*cobra.Command { return []*cobra.Command{policies.Command(a)} })
}

// Sessions of digestctl with these verbs.
func TestScripts(t *testing.T) { ctltest.Scripts(t) }
