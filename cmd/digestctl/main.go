// SPDX-License-Identifier: Apache-2.0

// Digestctl asks digestd what is vouched for and tells it what the
// administrator decided. docs/digestctl.md has its exit codes and the shapes of
// what --json prints.
//
// It promises one clear answer a question, the same facts for people and for
// programs, and advice with every error. It opens no state of the daemon's: all
// it knows it is told over D-Bus; only doctor looks for itself, and guard asks
// digestd-guard.
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
