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
	signed, root := signedPackages(t)
	ctltest.Scripts(t, func(env *testscript.Env) {
		env.Setenv("PACKAGES", dir)
		env.Setenv("SIGNED", signed)
		env.Setenv("IMAGE", root)
	})
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

// signedPackages makes packages that a vendor signed, and a root that trusts the vendor.
func signedPackages(t *testing.T) (dir, root string) {
	t.Helper()
	dir, root = t.TempDir(), t.TempDir()
	key, err := pkgtest.NewKey("vendor", 2048)
	if err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(root, "etc/digestd/keys.d")
	if err := os.MkdirAll(keys, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(keys, "vendor.asc"), []byte(key.Armor), 0o644); err != nil {
		t.Fatal(err)
	}
	for version, content := range map[string]string{"1": "miner", "2": "fine"} {
		p := pkgtest.Package{Name: "hello", Version: version, Release: "1", Arch: "noarch", Files: map[string]string{"/opt/hello": content}, Key: key}
		if _, err := p.Build(dir); err != nil {
			t.Fatal(err)
		}
	}
	revocation := "version = 1\n[[revocation]]\nkey = \"" + key.Fingerprint() + "\"\nreason = \"lost\"\n"
	if err := os.WriteFile(filepath.Join(root, "revoke.toml"), []byte(revocation), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir, root
}
