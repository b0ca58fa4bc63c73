// SPDX-License-Identifier: Apache-2.0

package vm_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/integration/pkgtest"
)

// guest is what all machines share: read, never written.
var guest struct {
	dir      string // vmlinuz, initrd, base.img, and root, the tree of the disk
	programs string // the programs of Go that digestd's packages have
	packages string // an archive of what installing digestd's packages changes
}

func TestMain(m *testing.M) {
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot prepare machine:", err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (int, error) {
	if err := command("./prepare.sh"); err != nil {
		return 0, err
	}
	cache := os.Getenv("DIGESTD_TEST_CACHE")
	if cache == "" {
		cache = "/var/cache/digestd-test"
	}
	guest.dir = filepath.Join(cache, "vm")
	dir, err := os.MkdirTemp("/var/tmp", "digestd-vm-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	guest.programs, guest.packages = filepath.Join(dir, "programs"), filepath.Join(dir, "packages.cpio")
	if err := install(dir, filepath.Join(dir, "packages")); err != nil {
		return 0, fmt.Errorf("cannot install: %w", err)
	}
	if err := archive(filepath.Join(dir, "packages"), guest.packages); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// install lays below packages/overlay what digestd's own packages change in the guest
// when they are installed there, and what the tests need besides. It works in dir.
func install(dir, packages string) error {
	source, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	tree := filepath.Join(packages, "overlay")
	if err := os.MkdirAll(filepath.Join(tree, "test"), 0o755); err != nil {
		return err
	}
	key, err := pkgtest.NewGPG(dir, "distribution", "rsa3072")
	if err != nil {
		return err
	}
	defer key.Close()
	for _, args := range [][]string{
		{"go", "build", "-C", source, "-trimpath", "-buildvcs=false", "-o", guest.programs + "/", "./cmd/digestd", "./cmd/digestctl", "./cmd/digestd-hook", "./cmd/digestd-guard"},
		{"env", "CGO_ENABLED=1", "go", "build", "-C", source, "-trimpath", "-buildvcs=false", "-o", guest.programs + "/", "./cmd/digestd-pkcs11"},
		{"go", "build", "-C", source, "-buildvcs=false", "-ldflags", "-s -w", "-o", filepath.Join(tree, "test", "seal"), "./integration/vm/seal"},
		{"./build.sh", filepath.Join(guest.dir, "root"), guest.programs, tree, key.Home, key.Owner},
	} {
		if err := command(args...); err != nil {
			return err
		}
	}
	return nil
}

// archive packs a directory as the kernel unpacks an initrd.
func archive(dir, file string) error {
	return command("sh", "-c", `cd "$1" && find . | LC_ALL=C sort | cpio --quiet -o -R 0:0 -H newc >"$2"`, "archive", dir, file)
}

func command(args ...string) error {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "LC_ALL=C")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}
