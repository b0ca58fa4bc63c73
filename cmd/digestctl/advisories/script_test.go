// SPDX-License-Identifier: Apache-2.0

package advisories_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/digestd/digestd/cmd/digestctl/advisories"
	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/ctltest"
	"github.com/digestd/digestd/cmd/digestctl/decide"
	"github.com/digestd/digestd/daemon/feed"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

func TestMain(m *testing.M) {
	// show starts its own program to read repositories, which here is the test.
	if len(os.Args) == 2 && os.Args[1] == feed.Argument {
		if err := feed.Serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	ctltest.Main(m, func(a *cli.App) []*cobra.Command {
		return []*cobra.Command{advisories.Command(a), advisories.Reader(a), decide.Floor(a), decide.Deny(a)}
	})
}

// Sessions of digestctl with these verbs, and with the caches of package managers below root.
func TestScripts(t *testing.T) {
	ctltest.Scripts(t, func(env *testscript.Env) {
		root := filepath.Join(env.WorkDir, "root")
		if err := os.MkdirAll(root, 0o755); err != nil {
			t.Error(err)
		}
		ctltest.WorldOf(env).Daemon.Root(root)
	})
}
