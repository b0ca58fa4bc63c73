// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"testing"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/ctltest"
	"github.com/digestd/digestd/cmd/digestctl/metrics"
	"github.com/spf13/cobra"
)

func TestMain(m *testing.M) {
	ctltest.Main(m, func(a *cli.App) []*cobra.Command { return []*cobra.Command{metrics.Command(a)} })
}

// Sessions of digestctl metrics.
func TestScripts(t *testing.T) { ctltest.Scripts(t) }
