// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/digestd/digestd/integration/pkgtest"
)

// hasMode wants a file or directory to have exactly these rights.
func hasMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Error(err)
		return
	}
	if got := info.Mode().Perm(); got != want {
		t.Errorf("mode of %s is %04o, want %04o", path, got, want)
	}
}

// A umask of 077, which hardened machines and the unit itself set, hides nothing
// from those who must read it, and opens nothing.
func TestUmask(t *testing.T) {
	narrow := []string{"sh", "-c", `umask 077; exec "$@"`, "sh"}
	m := newMachine(t)
	m.importKey("vendor")
	m.Wrap = narrow
	m.Config = []string{fmt.Sprintf("fapolicyd = %q\n", m.In("trust"))}
	m.Start()
	m.RPM("-U", m.build("p-1-1.noarch", "/opt/p=1"))
	m.WantLists("tlv-p-0:1-1.noarch")
	if !pkgtest.Await(func() bool { _, err := os.Stat(m.In("trust")); return err == nil }) {
		t.Fatal("nothing was exported")
	}
	lists := m.Lists()
	for path, want := range map[string]os.FileMode{
		lists: 0o755, lists + ".staging": 0o700, lists + ".quarantine": 0o700, filepath.Join(lists, "tlv-p-0:1-1.noarch"): 0o644,
		m.In("trust"): 0o644, m.In("run", "hook.sock"): 0o600, m.State(): 0o700,
		filepath.Join(m.State(), "index.db"): 0o600, filepath.Join(m.State(), "index.commit"): 0o600, filepath.Join(m.State(), "lock"): 0o600,
		filepath.Join(m.State(), "signing.key"): 0o600, filepath.Join(m.State(), "signing.crt"): 0o644,
	} {
		hasMode(t, path, want)
	}

	// An image whose directories are not there yet.
	image := t.TempDir()
	args := append(narrow[1:], filepath.Join(programs.Dir, "digestd"), "-reconcile", "-root", image)
	if out, err := exec.Command(narrow[0], args...).CombinedOutput(); err != nil {
		t.Fatalf("digestd -reconcile: %v\n%s", err, out)
	}
	for path, want := range map[string]os.FileMode{"etc": 0o755, "etc/digest_lists": 0o755, "var": 0o755, "var/lib": 0o755, "var/lib/digestd": 0o700} {
		hasMode(t, filepath.Join(image, path), want)
	}
}
