// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/exempt"
	"github.com/digestd/digestd/daemon/guard/guardtest"
	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/integration/pkgtest"
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
	} else if err := tellHost(socket); err == nil {
		t.Error("what nobody knows is told")
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
		keeper: keeper, log: slog.New(slog.DiscardHandler), host: func() (uint32, error) { return 7, nil }, path: filepath.Join(dir, exemptFile), changed: make(chan struct{}, 1),
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
	x.look()
	if len(kernel.Exempt.Cgroups) != 0 || len(status()) != 0 {
		t.Errorf("%+v, %+v", kernel.Exempt, status())
	}
}

// TestExemptionsThatAreDecided: what somebody decides is in force before it is answered, outlives
// this program, and is refused where others than root can fill the cgroup.
func TestExemptionsThatAreDecided(t *testing.T) {
	needs.Root(t)
	dir := t.TempDir()
	for _, group := range []string{"lxc/one", "named", "user.slice/user-1000.slice"} {
		if err := os.MkdirAll(filepath.Join(dir, "cgroup", group), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	kernel := guardtest.NewMemory()
	keeper, err := protocol.NewKeeper(kernel, protocol.Facts{Wanted: protocol.Change{Mode: "audit"}, Most: guard.Enforce})
	if err != nil {
		t.Fatal(err)
	}
	start := func() *exempter {
		t.Helper()
		x := newExempter(options{socket: filepath.Join(dir, "guard.sock"), exempt: exempt.Settings{Named: []string{"/named"}}}, keeper, slog.New(slog.DiscardHandler))
		x.machine, x.host = exempt.Machine{Cgroups: filepath.Join(dir, "cgroup"), Mounts: "/proc/self/mountinfo"}, func() (uint32, error) { return 7, nil }
		return x
	}
	names := func() (all string) {
		t.Helper()
		s, err := keeper.Status()
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range s.Exempt {
			all += g.Name + "(" + g.Forced + g.Refused + ") "
		}
		return all
	}
	x := start()
	x.look()
	for _, step := range []struct {
		e       protocol.Exemption
		refused string
		want    string
	}{
		{protocol.Exemption{Group: "/lxc/"}, "", "lxc() named() "},
		{protocol.Exemption{Group: "lxc"}, "", "lxc() named() "},
		{protocol.Exemption{Group: "user.slice/user-1000.slice"}, "user.slice has processes of users", "lxc() named() "},
		{protocol.Exemption{Group: "user.slice/user-1000.slice", Force: true, Reason: "mine"}, "", "lxc() named() user.slice/user-1000.slice(mine) "},
		{protocol.Exemption{Group: "../etc"}, "no name", "lxc() named() user.slice/user-1000.slice(mine) "},
		{protocol.Exemption{Group: "a force b"}, "no name", "lxc() named() user.slice/user-1000.slice(mine) "},
		{protocol.Exemption{Group: ""}, "no name", "lxc() named() user.slice/user-1000.slice(mine) "},
		{protocol.Exemption{Group: "lxc", End: true}, "", "named() user.slice/user-1000.slice(mine) "},
		{protocol.Exemption{Group: "lxc", End: true}, "was not exempted", "named() user.slice/user-1000.slice(mine) "},
		{protocol.Exemption{Group: "named", End: true}, "the configuration exempts named", "named() user.slice/user-1000.slice(mine) "},
	} {
		err := x.decide(step.e)
		if (err == nil) != (step.refused == "") || err != nil && !strings.Contains(err.Error(), step.refused) {
			t.Errorf("%+v: %v, want %q", step.e, err, step.refused)
		}
		if got := names(); got != step.want {
			t.Errorf("%+v: %s, want %s", step.e, got, step.want)
		}
	}
	// Another digestd-guard takes its place, and goes on until it ends.
	x = start()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); x.run(ctx) }()
	if err := x.decide(protocol.Exemption{Group: "lxc"}); err != nil || names() != "lxc() named() user.slice/user-1000.slice(mine) " {
		t.Errorf("started again: %v, %s", err, names())
	}
	for _, group := range []string{"lxc", "user.slice/user-1000.slice"} {
		if err := x.decide(protocol.Exemption{Group: group, End: true}); err != nil {
			t.Error(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "cgroup/lxc.payload.a"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := x.decide(protocol.Exemption{Group: "lxc.payload.*"}); err != nil || names() != "lxc.payload.a() named() " {
		t.Errorf("ended, and another begun: %v, %s", err, names())
	}
	cancel()
	<-ended
	for i := range mostDecided {
		err = x.decide(protocol.Exemption{Group: "g" + strconv.Itoa(i)})
	}
	if err == nil || !strings.Contains(err.Error(), "name more of them in the configuration") {
		t.Errorf("the last of many: %v", err)
	}
	x.path = filepath.Join(dir, "none", "exempt")
	if err := x.decide(protocol.Exemption{Group: "lxc.payload.*", End: true}); err == nil || names() != "lxc.payload.a() named() " {
		t.Errorf("what cannot be kept is not done: %v, %s", err, names())
	}
	// A file that is no list of exemptions exempts nothing.
	if err := os.WriteFile(filepath.Join(dir, exemptFile), []byte("lxc force\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	x = start()
	if x.look(); names() != "named() " {
		t.Errorf("a spoilt file: %s", names())
	}
	x.host = func() (uint32, error) { return 0, os.ErrPermission }
	if x.look(); len(kernel.Exempt.Cgroups) != 0 {
		t.Errorf("nobody knows which mounts are the host's, and %v are exempt", kernel.Exempt.Cgroups)
	}
}

// looked is a kernel that counts how often exemptions are set.
type looked struct {
	*guardtest.Memory
	looks atomic.Int32
}

func (l *looked) SetExemptions(to guard.Exemptions) error {
	l.looks.Add(1)
	return l.Memory.SetExemptions(to)
}

// TestExempterWaits: where nothing is exempted nobody looks for containers, until somebody decides
// otherwise; where changes cannot be watched, nothing stays exempted.
func TestExempterWaits(t *testing.T) {
	needs.Root(t)
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "cgroup/ci"), 0o755); err != nil {
		t.Fatal(err)
	}
	kernel := &looked{Memory: guardtest.NewMemory()}
	keeper, err := protocol.NewKeeper(kernel, protocol.Facts{Wanted: protocol.Change{Mode: "audit"}, Most: guard.Enforce})
	if err != nil {
		t.Fatal(err)
	}
	exempted := func(want int) func() bool {
		return func() bool {
			s, err := keeper.Status()
			return err == nil && len(s.Exempt) == want
		}
	}
	start := func(mounts string) (x *exempter, stop func()) {
		x = newExempter(options{socket: filepath.Join(dir, "guard.sock")}, keeper, slog.New(slog.DiscardHandler))
		x.machine, x.host = exempt.Machine{Cgroups: filepath.Join(dir, "cgroup"), Mounts: mounts}, func() (uint32, error) { return 7, nil }
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); x.run(ctx) }()
		return x, func() { cancel(); <-ended }
	}
	before := kernel.looks.Load()
	x, stop := start("/proc/self/mountinfo")
	if !pkgtest.Await(func() bool { return kernel.looks.Load() > before }) {
		t.Error("a kernel that another program left is not told that nothing is exempt")
	}
	for range 2 {
		if err := x.decide(protocol.Exemption{Group: "ci"}); err != nil || !exempted(1)() {
			t.Errorf("it is exempted: %v", err)
		}
		if err := x.decide(protocol.Exemption{Group: "ci", End: true}); err != nil || !exempted(0)() {
			t.Errorf("it ends: %v", err)
		}
	}
	if err := x.decide(protocol.Exemption{Group: "ci"}); err != nil {
		t.Fatal(err)
	}
	stop()
	if !exempted(1)() {
		t.Error("an exemption ends with the program")
	}
	x, stop = start(filepath.Join(dir, "none"))
	if !pkgtest.Await(exempted(0)) {
		t.Error("mounts cannot be watched, and a container is exempted")
	}
	if err := x.decide(protocol.Exemption{Group: "ci", End: true}); err != nil && !strings.Contains(err.Error(), "none") {
		t.Error(err)
	}
	stop()
}
