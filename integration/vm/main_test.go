// SPDX-License-Identifier: Apache-2.0

package vm_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// guest is what all machines share: read, never written.
var guest struct {
	dir      string // vmlinuz, initrd, base.img, and root, the tree of the disk
	programs string // an archive of what make install lays into a machine
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
	guest.programs = filepath.Join(dir, "programs.cpio")
	if err := install(filepath.Join(dir, "programs")); err != nil {
		return 0, fmt.Errorf("cannot install: %w", err)
	}
	if err := archive(filepath.Join(dir, "programs"), guest.programs); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// install lays what make install would below dir/overlay, but for the plugin,
// whose ABI is that of the guest's librpm: it is built there.
func install(dir string) error {
	source, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	tree := filepath.Join(dir, "overlay")
	if err := command("make", "-s", "-C", source, "install", "DESTDIR="+tree, "plugindir=/usr/lib/x86_64-linux-gnu/rpm-plugins", "macrosdir=/usr/lib/rpm/macros.d"); err != nil {
		return err
	}
	if err := command("go", "build", "-C", source, "-buildvcs=false", "-o", filepath.Join(tree, "test", "seal"), "./integration/vm/seal"); err != nil {
		return err
	}
	if err := command("cp", "testdata/first-boot", filepath.Join(tree, "test", "first-boot")); err != nil {
		return err
	}
	root := filepath.Join(guest.dir, "root")
	work, err := os.MkdirTemp(filepath.Join(root, "tmp"), "plugin-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	plugin := filepath.Join(tree, "usr/lib/x86_64-linux-gnu/rpm-plugins/digestd.so")
	hooks := filepath.Join(source, "hooks", "rpm")
	for _, args := range [][]string{
		{"cp", filepath.Join(hooks, "digestd.c"), filepath.Join(hooks, "Makefile"), work},
		{"chroot", root, "make", "-s", "-C", "/tmp/" + filepath.Base(work), "plugin=digestd.so", "digestd.so"},
		{"install", "-m", "0755", filepath.Join(work, "digestd.so"), plugin},
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
