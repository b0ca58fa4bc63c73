// SPDX-License-Identifier: Apache-2.0

package daemontest

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/digestd/digestd/daemon/feed"
	"github.com/digestd/digestd/daemon/look"
	"github.com/digestd/digestd/daemon/verify"
	"github.com/digestd/digestd/daemon/verify/engine"
)

// Main runs the tests of a room in which the daemon looks at files, verifies them or reads repositories: it
// starts its own program for that, which here is the test. Call it from TestMain.
func Main(m *testing.M) {
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == verify.Argument:
		err = engine.Serve(context.Background(), os.Stdin, os.Stdout)
	case len(os.Args) == 3 && os.Args[1] == look.Argument:
		err = look.Serve(os.Args[2], os.Stdin, os.Stdout)
	case len(os.Args) == 2 && os.Args[1] == feed.Argument:
		err = feed.Serve(os.Stdin, os.Stdout)
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
