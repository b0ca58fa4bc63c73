// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/guardtest"
	"github.com/digestd/digestd/kernel/guard"
)

// The guard that is configured is asked itself, and where it does not answer it is said why
// that may be.
func TestGuard(t *testing.T) {
	s := machine(t)
	s.wants("guard", `skipped: the guard is off (guard = "off")`)
	s.write("digestd.conf", "guard = \"enforce\"\n")
	s.wants("guard", "fail: the guard is not available: cannot read the active security modules: open TOP/sys/kernel/security/lsm: no such file or directory", "fail: the guard is not available: the kernel does not have BTF type information")
	s.write("sys/kernel/security/lsm", "lockdown,capability,yama")
	s.write("sys/kernel/btf/vmlinux", "types")
	s.write("proc/kallsyms", "0000000000000000 T bpf_ima_file_hash\n0000000000000000 T __bpf_prog_enter\n")
	s.wants("guard", "fail: the guard is not available: bpf is not an active security module (lockdown,capability,yama)",
		"fail: the guard is not available: the kernel skips sleepable BPF programs while another one sleeps on the same processor (__bpf_prog_enter_sleepable_recur)")
	if f := s.Examine(t.Context(), "guard"); f[0].Advice != "boot with lsm=lockdown,capability,yama,bpf on the kernel's command line" {
		t.Errorf("advice is %q", f[0].Advice)
	}
	s.write("sys/kernel/security/lsm", "lockdown,bpf\n")
	s.write("proc/kallsyms", "0000000000000000 T bpf_ima_file_hash\n0000000000000000 T __bpf_prog_enter_sleepable_recur\n")
	s.wants("guard", "fail: digestd-guard does not answer: cannot connect to digestd-guard: dial unix TOP/run/digestd-guard/guard.sock: connect: no such file or directory → systemctl enable --now digestd-guard")

	maps := guardtest.NewMemory()
	maps.At = 3
	socket := s.path(protocol.DefaultSocket)
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		t.Fatal(err)
	}
	var denials protocol.Log
	serve := func(facts protocol.Facts) {
		t.Helper()
		stop, err := guardtest.Serve(socket, maps, facts, &denials, os.Getuid())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stop() })
	}
	serve(protocol.Facts{Wanted: protocol.Change{Mode: "enforce"}, Most: guard.Enforce})
	s.wants("guard", "ok: the guard is in mode enforce with 0 digests, and refused 0 checks")
	maps.At, maps.Is.Mode = 0, guard.Audit
	s.wants("guard", "warn: the guard is in mode audit, not in mode enforce: digestd has not compared the digests with the index yet → digestctl guard check")
	maps.At = 3
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	serve(protocol.Facts{Wanted: protocol.Change{Mode: "audit"}, Most: guard.Enforce, Doubt: "it noticed nothing"})
	s.wants("guard", "warn: the guard is in mode audit; the configuration says enforce", "warn: mode enforce is not available: it noticed nothing → journalctl -u digestd-guard")
}

// Others than root hear what digestd tells of the guard.
func TestGuardOfOthers(t *testing.T) {
	s := machine(t)
	p := &patient{Machine: &s.Machine, name: "guard", conf: config.Config{Guard: "audit"}}
	p.tellOfGuard(api.Guard{Mode: "audit", Wanted: "audit", Counts: api.GuardCounts{Missed: 4, Lost: 1}})
	if len(p.findings) != 3 || p.findings[1].Found != "mode enforce would have refused something 4 times" || p.findings[2].Found != "1 refusals were not logged" {
		t.Errorf("%+v", p.findings)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s.Root = false
	p.findings = nil
	p.noGuard(ctx, os.ErrPermission)
	if len(p.findings) != 1 || p.findings[0].Verdict != Skipped {
		t.Errorf("%+v", p.findings)
	}
	p.findings = nil
	p.noGuard(ctx, errors.New("gone"))
	if len(p.findings) == 0 || p.findings[0].Verdict != Fail {
		t.Errorf("%+v", p.findings)
	}
}
