// SPDX-License-Identifier: Apache-2.0

package machine_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/cmd/digestctl/ctltest"
	"github.com/digestd/digestd/cmd/digestctl/machine"
	"github.com/digestd/digestd/daemon/api"
)

// configured is a directory with a configuration of digestd, which says where the bus is.
func configured(t *testing.T, bus string) (dir, conf string) {
	t.Helper()
	dir = t.TempDir()
	conf = filepath.Join(dir, "digestd.conf")
	text := fmt.Sprintf("lists = %q\nstate = %q\nsocket = %q\nbus = %q\n", filepath.Join(dir, "lists"), filepath.Join(dir, "state"), filepath.Join(dir, "sock"), bus)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir, conf
}

func TestDoctor(t *testing.T) {
	w := ctltest.NewWorld(t)
	w.Start()
	_, conf := configured(t, w.Bus.Address)
	run := func(want int, args ...string) string {
		t.Helper()
		out, errOut, code := ctltest.Run(t, machine.Doctor, append([]string{"doctor", "--config", conf}, args...)...)
		if code != want {
			t.Fatalf("doctor %v: exit code %d, want %d\n%s%s", args, code, want, out, errOut)
		}
		return out + errOut
	}
	if out := run(0, "config", "daemon"); !strings.HasPrefix(out, "digestd has everything it needs\n") || !strings.Contains(out, "ok      daemon      digestd 0.1.0 answers") {
		t.Errorf("well:\n%s", out)
	}
	out := run(3, "state", "config")
	for _, want := range []string{"digestd needs attention: 1 check failed, 0 warnings\n", "fail    state       there is no ", "        fix         systemctl restart digestd\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("without a state directory it does not say %q:\n%s", want, out)
		}
	}
	var doc struct {
		Healthy        bool
		Failed, Warned int
		Findings       []struct{ Check, Verdict, Fix string }
	}
	if err := json.Unmarshal([]byte(run(3, "--json", "state")), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Healthy || doc.Failed != 1 || len(doc.Findings) != 1 || doc.Findings[0].Fix != "systemctl restart digestd" {
		t.Errorf("for programs: %+v", doc)
	}
	// The bus on the command line counts more; nobody is started by a look.
	if out := run(3, "--bus", "unix:path=/nowhere", "daemon"); !strings.Contains(out, "systemctl start dbus") {
		t.Errorf("no bus:\n%s", out)
	}
	w.Stop()
	if out := run(3, "daemon"); !strings.Contains(out, "systemctl start digestd") {
		t.Errorf("no digestd:\n%s", out)
	}
	if out := run(2, "heart"); !strings.Contains(out, `doctor has no check "heart"; it has: config, service`) {
		t.Errorf("a check that is none:\n%s", out)
	}
}

// Without --config doctor looks at what the digestd at --bus uses, also where that is not
// what its configuration says any more.
func TestDoctorLooksAtWhatRuns(t *testing.T) {
	w := ctltest.NewWorld(t)
	w.Start()
	dir, conf := configured(t, w.Bus.Address)
	run := func(args ...string) string {
		t.Helper()
		out, errOut, _ := ctltest.Run(t, machine.Doctor, append([]string{"doctor", "--bus", w.Bus.Address, "config", "state", "socket"}, args...)...)
		return out + errOut
	}
	w.Daemon.Places(api.Places{Configuration: conf, Socket: filepath.Join(dir, "old.sock"), State: filepath.Join(dir, "state")})
	out := run()
	for _, want := range []string{
		"ok      config      " + conf, "there is no " + filepath.Join(dir, "old.sock"), "there is no " + filepath.Join(dir, "state") + ": digestd never ran here",
		fmt.Sprintf("warn    config      the running digestd uses socket = %q, but %s says %q", filepath.Join(dir, "old.sock"), conf, filepath.Join(dir, "sock")),
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	if out := run("--config", conf); strings.Contains(out, "old.sock") || !strings.Contains(out, "there is no "+filepath.Join(dir, "sock")) {
		t.Errorf("with --config:\n%s", out)
	}
	w.Stop()
	if out := run(); strings.Contains(out, dir) {
		t.Errorf("nobody could say where it looks:\n%s", out)
	}
}

func TestReport(t *testing.T) {
	w := ctltest.NewWorld(t)
	w.Start()
	dir, conf := configured(t, w.Bus.Address)
	w.Daemon.Root(dir)
	stray := filepath.Join(dir, "usr/bin/stray")
	if err := errors.Join(os.MkdirAll(filepath.Dir(stray), 0o755), os.WriteFile(stray, []byte("#!/bin/sh\n"), 0o755)); err != nil {
		t.Fatal(err)
	}
	run := func(want int, args ...string) (out, errOut string) {
		t.Helper()
		out, errOut, code := ctltest.Run(t, machine.Report, append([]string{"--bus", w.Bus.Address, "report", "--config", conf}, args...)...)
		if code != want {
			t.Fatalf("report %v: exit code %d, want %d\n%s%s", args, code, want, out, errOut)
		}
		return out, errOut
	}
	if _, errOut := run(2); !strings.Contains(errOut, "report needs --html FILE, or --json") {
		t.Errorf("no page was asked for: %s", errOut)
	}
	page := filepath.Join(dir, "page.html")
	if out, _ := run(0, "--html", page); !strings.Contains(out, page+": ") || !strings.HasSuffix(out, " next steps\n") {
		t.Errorf("it says %q", out)
	}
	written, err := os.ReadFile(page)
	if err != nil || !strings.HasPrefix(string(written), "<!DOCTYPE html>") {
		t.Errorf("the page is %.80q, %v", written, err)
	}
	for _, want := range []string{"bash-5.2-1.x86_64", "evil", "tlv-intruder", "found by an incident"} {
		if !strings.Contains(string(written), want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if out, _ := run(0, "--html", "-"); !strings.HasPrefix(out, "<!DOCTYPE html>") {
		t.Errorf("on standard output comes %.80q", out)
	}
	var doc struct {
		Coverage struct{ Executables, Named int }
		Findings []struct{ Check string }
		Next     []struct{ Text string }
	}
	out, _ := run(0, "--json")
	if err := json.Unmarshal([]byte(out), &doc); err != nil || doc.Coverage.Executables != 1 || doc.Coverage.Named != 0 || len(doc.Findings) < 10 || len(doc.Next) == 0 {
		t.Errorf("for programs: %v\n%s", err, out)
	}
	if _, errOut := run(1, "--html", filepath.Join(dir, "absent", "page")); !strings.Contains(errOut, "cannot write the report: ") {
		t.Errorf("no such directory: %s", errOut)
	}
}
