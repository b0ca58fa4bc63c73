// SPDX-License-Identifier: Apache-2.0

package ctltest

import (
	"bytes"
	"testing"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/spf13/cobra"
)

// Run carries out one command line of a digestctl with this verb, in this process, and
// returns what it printed, and its exit code.
func Run(tb testing.TB, verb func(*cli.App) *cobra.Command, args ...string) (stdout, stderr string, code int) {
	tb.Helper()
	var out, errOut bytes.Buffer
	code = cli.Run(tb.Context(), func(a *cli.App) *cobra.Command { return cli.Root(a, verb(a)) }, args, &out, &errOut)
	return out.String(), errOut.String(), code
}
