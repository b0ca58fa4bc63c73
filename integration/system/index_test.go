// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/integration/pkgtest"
)

// TestIndexFaults: whatever becomes of the index while the daemon is down, the
// next start vouches for what is installed, lets nothing older in, and says
// what was lost.
func TestIndexFaults(t *testing.T) {
	const page = 4096
	for name, test := range map[string]struct {
		harm func(t *testing.T, index string, old []byte)
		says string // in status; "" when nothing was lost
	}{
		"newest meta page damaged": {harm: func(t *testing.T, index string, _ []byte) {
			// bbolt has two meta pages and takes the older one in silence.
			data := read(t, index)
			newest := 0
			if txid(data[page:]) > txid(data) {
				newest = page
			}
			data[newest+16+8] ^= 0xff
			write(t, index, data)
		}},
		"an older copy": {harm: func(t *testing.T, index string, old []byte) { write(t, index, old) }, says: "rolled back"},
		"missing": {harm: func(t *testing.T, index string, _ []byte) {
			if err := os.Remove(index); err != nil {
				t.Fatal(err)
			}
		}, says: "missing"},
		"truncated": {harm: func(t *testing.T, index string, _ []byte) { write(t, index, read(t, index)[:page+100]) }, says: "damaged"},
		"empty":     {harm: func(t *testing.T, index string, _ []byte) { write(t, index, nil) }, says: "damaged"},
		"garbage": {harm: func(t *testing.T, index string, _ []byte) {
			write(t, index, []byte(strings.Repeat("digest", 10000)))
		}, says: "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, upgrade := history(t)
			m.Stop()
			index := filepath.Join(m.State(), "index.db")
			old := read(t, index)
			m.Start()
			m.RPM(upgrade...)
			m.RPM("-e", "gone")
			counter := m.counter()
			m.Stop()
			test.harm(t, index, old)
			m.Start()
			m.converged(0)
			if now := m.counter(); now < counter && test.says == "" {
				t.Errorf("counter fell from %d to %d", counter, now)
			}
			// converged has acknowledged what was lost: start once more to see it.
			asides, err := filepath.Glob(index + ".aside-*")
			if err != nil || len(asides) > 1 || (len(asides) == 0) != (test.says == "" || test.says == "missing") {
				t.Errorf("kept aside: %v (%v)", asides, err)
			}
			if log := m.Log(); test.says != "" && !strings.Contains(log, "index-lost") {
				t.Error("the loss was not reported")
			}
			if out, _ := m.Digestctl("status").CombinedOutput(); strings.Contains(string(out), "index") {
				t.Errorf("still a problem after sync:\n%s", out)
			}
		})
	}
}

// TestIndexLossIsSaid: until the administrator acknowledges it.
func TestIndexLossIsSaid(t *testing.T) {
	m, _ := history(t)
	m.Stop()
	m.OK(os.Remove(filepath.Join(m.State(), "index.db")))
	m.Start()
	out, err := m.Digestctl("status").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "the index is missing") {
		t.Fatalf("status (%v):\n%s", err, out)
	}
	m.Must("sync")
	m.Must("status")
}

// txid is the commit number of a bbolt meta page.
func txid(page []byte) uint64 { return binary.NativeEndian.Uint64(page[16+48:]) }

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// smallDisk mounts a file system of that many KiB and returns its path.
func smallDisk(t *testing.T, kib string) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+kib+"k", "digestd-test", dir).CombinedOutput(); err != nil {
		t.Fatalf("cannot mount a small disk: %v\n%s", err, out)
	}
	t.Cleanup(func() { exec.Command("umount", "-l", dir).Run() })
	return dir
}

// fill takes all the space there is, and returns what gives it back.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	ballast := filepath.Join(dir, "ballast")
	exec.Command("dd", "if=/dev/zero", "of="+ballast, "bs=4k").Run()
	return func() {
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDiskFull: without space there is no list, and a warning; with space again
// there is.
func TestDiskFull(t *testing.T) {
	for _, where := range []string{"lists", "state"} {
		t.Run(where, func(t *testing.T) {
			m := newMachine(t)
			disk := smallDisk(t, "2048")
			if where == "lists" {
				m.ListDir = filepath.Join(disk, "lists")
			} else {
				m.StateDir = filepath.Join(disk, "state")
			}
			m.importKey("vendor")
			m.Start()
			m.RPM("-U", m.build("before-1-1.noarch"))
			m.WantLists("tlv-before-0:1-1.noarch")
			free := fill(t, disk)
			out, err := m.RPMCommand("-U", m.build("full-1-1.noarch")).CombinedOutput()
			if err != nil || !strings.Contains(string(out), "digestd: ") || !strings.Contains(string(out), "no space left") {
				t.Fatalf("rpm on a full disk (%v):\n%s", err, out)
			}
			if !pkgtest.Await(func() bool { return m.Digestctl("status").Run() != nil }) {
				t.Error("status has no problem to tell")
			}
			if where == "lists" {
				m.WantLists("tlv-before-0:1-1.noarch")
				m.Wholesome()
			}
			free()
			m.converged(0)
			m.Must("status")
			m.Kill()
			m.Start()
			m.converged(2)
		})
	}
}
