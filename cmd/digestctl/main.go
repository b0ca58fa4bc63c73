// SPDX-License-Identifier: Apache-2.0

// Digestctl shows administrators and users what digestd knows, and records the decisions of
// administrators. docs/digestctl.md describes its exit codes and the output of --json.
//
// It gives the same facts to people and to programs, and advice with every error. It opens no
// state of the daemon: it gets all facts over D-Bus, except that doctor also examines the
// machine itself, and guard asks digestd-guard.
package main

import (
	"fmt"
	"os"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/rpmdb/pgp"
)

func main() {
	if err := pgp.CheckMode(); err != nil {
		fmt.Fprintln(os.Stderr, "digestctl:", err)
		os.Exit(1)
	}
	cli.Main(rootCommand)
}
