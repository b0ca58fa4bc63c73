// SPDX-License-Identifier: Apache-2.0

package check_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/digestd/digestd/cmd/digestctl/check"
	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/ctltest"
	"github.com/digestd/digestd/integration/pkgtest"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

func TestMain(m *testing.M) {
	ctltest.Main(m, func(a *cli.App) []*cobra.Command { return []*cobra.Command{check.Command(a), check.Reader(a)} })
}

// Sessions of digestctl with this verb. The packages lie in a directory that scripts know
// as PACKAGES.
func TestScripts(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"new", "old", "stranger"} {
		p := pkgtest.Package{Name: name, Version: "1", Release: "1", Arch: "noarch", Files: map[string]string{"/opt/" + name: name}}
		file, err := p.Build(dir)
		if err != nil {
			t.Fatal(err)
		}
		if name == "new" {
			damaged(t, file, filepath.Join(dir, "damaged.rpm"))
		}
	}
	ctltest.Scripts(t, func(env *testscript.Env) { env.Setenv("PACKAGES", dir) })
}

// damaged writes a package whose payload ends early.
func damaged(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, bytes.TrimSuffix(data, data[len(data)-30:]), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
