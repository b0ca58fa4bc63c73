// SPDX-License-Identifier: Apache-2.0

// Digestctl asks digestd what is vouched for and tells it what the
// administrator decided. docs/digestctl.md has its exit codes and the shapes of
// what --json prints.
//
// It promises one clear answer a question, the same facts for people and for
// programs, and advice with every error. It opens no state of the daemon's: all
// it knows it is told over D-Bus; only doctor looks for itself.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
