// SPDX-License-Identifier: Apache-2.0

package own

import (
	"os"
	"path/filepath"
	"testing"
)

// A path below --root never leads to a file of this machine, whatever links the tree
// has on the way to it.
func TestPathStaysInRoot(t *testing.T) {
	chroot := t.TempDir()
	if err := os.MkdirAll(filepath.Join(chroot, "usr/lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"lib": "/usr/lib", "up": "../../../../usr/lib", "near": "usr/lib", "far": "/", "usr/back": "/lib"} {
		if err := os.Symlink(to, filepath.Join(chroot, link)); err != nil {
			t.Fatal(err)
		}
	}
	in := &inputs{chroot: chroot}
	want := filepath.Join(chroot, "usr/lib/libc.so")
	for _, path := range []string{"/usr/lib/libc.so", "/lib/libc.so", "/up/libc.so", "/near/libc.so", "/far/usr/lib/libc.so", "/usr/back/libc.so", "lib/libc.so", "/../../lib/libc.so"} {
		if got, err := in.file(path); got != want || err != nil {
			t.Errorf("%s is %s, %v; want %s", path, got, err, want)
		}
	}
}
