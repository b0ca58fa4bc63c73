// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/exempt"
	"github.com/digestd/digestd/daemon/guard/guardtest"
	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/kernel/guard"
)

// TestHost: the kernel is asked which mounts are the host's, and where it does not say, what
// -host left counts.
func TestHost(t *testing.T) {
	needs.Root(t)
	socket := filepath.Join(t.TempDir(), "guard.sock")
	path := filepath.Join(filepath.Dir(socket), hostFile)
	asked, err := askHost()
	if err == nil {
		if err := tellHost(socket); err != nil {
			t.Fatal(err)
		}
		if data, err := os.ReadFile(path); err != nil || string(data) != strconv.FormatUint(uint64(asked), 10) {
			t.Errorf("%q was left, %v; want %d", data, err, asked)
		}
	} else if n, err := namespace(socket); err == nil {
		t.Errorf("nobody said it, and it is %d", n)
	}
	for text, want := range map[string]uint32{"4026531841": 4026531841, "0": 0, "": 0, "x": 0, "-1": 0, "4294967296": 0} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if asked != 0 {
			want = asked
		}
		if n, err := namespace(socket); n != want || (err == nil) != (want != 0) {
			t.Errorf("%q: %d, %v; want %d", text, n, err, want)
		}
	}
}

// TestExempter: what was found is in force and in the status; what cannot be read exempts
// nothing any more.
func TestExempter(t *testing.T) {
	needs.Root(t)
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "cgroup/lxc"), 0o755); err != nil {
		t.Fatal(err)
	}
	kernel := guardtest.NewMemory()
	keeper, err := protocol.NewKeeper(kernel, protocol.Facts{Wanted: protocol.Change{Mode: "audit"}, Most: guard.Enforce})
	if err != nil {
		t.Fatal(err)
	}
	x := &exempter{
		settings: exempt.Settings{Runtimes: true}, machine: exempt.Machine{Cgroups: filepath.Join(dir, "cgroup"), Mounts: "/proc/self/mountinfo"},
		keeper: keeper, log: slog.New(slog.DiscardHandler), host: 7,
	}
	status := func() []exempt.Group {
		s, err := keeper.Status()
		if err != nil {
			t.Fatal(err)
		}
		return s.Exempt
	}
	x.look()
	if len(kernel.Exempt.Cgroups) != 1 || len(kernel.Exempt.Mounts) == 0 || kernel.Exempt.Namespace != 7 || len(status()) != 1 || status()[0].Name != "lxc" {
		t.Errorf("%+v, %+v", kernel.Exempt, status())
	}
	x.machine.Mounts = filepath.Join(dir, "none")
	x.look()
	if len(kernel.Exempt.Cgroups) != 0 || x.failed == "" {
		t.Errorf("%+v, %q", kernel.Exempt, x.failed)
	}
	x.machine.Mounts = "/proc/self/mountinfo"
	x.look()
	if len(kernel.Exempt.Cgroups) != 1 {
		t.Errorf("%+v", kernel.Exempt)
	}
	x.settings = exempt.Settings{}
	x.run(t.Context())
	if len(kernel.Exempt.Cgroups) != 0 || len(status()) != 0 {
		t.Errorf("%+v, %+v", kernel.Exempt, status())
	}
}
