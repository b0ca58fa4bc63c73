// SPDX-License-Identifier: Apache-2.0

package ctltest

import (
	"bytes"
	"strings"
	"testing"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/spf13/cobra"
)

// Run carries out one command line of a digestctl with this verb, in this process, and
// returns what it printed, and its exit code. A document for programs that its schema does
// not permit fails the test.
func Run(tb testing.TB, verb func(*cli.App) *cobra.Command, args ...string) (stdout, stderr string, code int) {
	tb.Helper()
	var out, errOut bytes.Buffer
	k := kept{root: func(a *cli.App) *cobra.Command { return cli.Root(a, verb(a)) }}
	code = cli.Run(tb.Context(), k.command, args, &out, &errOut)
	if err := k.check(args, out.Bytes()); err != nil {
		tb.Errorf("digestctl %s printed what its schema does not permit: %v\n%s", strings.Join(args, " "), err, &out)
	}
	return out.String(), errOut.String(), code
}
