// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"os"
	"strings"
	"testing"
)

// TestFIPS: in FIPS 140-3 mode digestd does its work, with RSA and ECDSA. With GOFIPS140 in the
// environment, as by make test-fips, its programs contain that version of Go's module.
func TestFIPS(t *testing.T) {
	const on = "GODEBUG=fips140=on"
	m := newMachine(t)
	m.importKey("vendor")
	m.Start(on)
	module := "latest" // as this Go has it
	if os.Getenv("GOFIPS140") != "" {
		module = "v1."
	}
	if got := m.Status().FIPS; !strings.HasPrefix(got, module) {
		t.Errorf("status has module %q, want %s", got, module)
	}
	if out := m.Must("status"); !strings.Contains(out, "FIPS 140-3 mode, module "+module) {
		t.Errorf("status does not say that it is in FIPS mode:\n%s", out)
	}
	m.RPM("-U", m.build("hello-1-1.noarch", "/usr/bin/hello"))
	m.WantLists("tlv-hello-0:1-1.noarch")
	m.Wholesome()
	m.RPM("-U", m.build("hello-2-1.noarch", "/usr/bin/hello"))
	m.WantLists("tlv-hello-0:2-1.noarch")
	m.Vouched("/usr/bin/hello", true)
	m.RPMFails([]string{"older than"}, "-U", "--oldpackage", m.build("hello-1-1.noarch", "/usr/bin/hello"))
	own := m.Write("/usr/local/bin/tool", "#!/bin/sh\n")
	m.Must("own", "add", "local", own, "--reason", "ours")
	m.Must("keys", "rotate", "--reason", "a new key in FIPS mode")
	m.Must("deny", "hello", "--reason", "incident")
	m.Vouched("/usr/bin/hello", false)
	m.Must("deny", "lift", "hello", "--reason", "false alarm")
	m.Stop()
	// Packages that were verified in one mode are judged in the other.
	m.Start()
	if got := m.Status().FIPS; got != "" && os.Getenv("GOFIPS140") == "" {
		t.Errorf("without FIPS mode status has module %q", got)
	}
	m.Vouched("/usr/bin/hello", true)
	m.Stop()

	cmd := m.Prepare("GODEBUG=fips140=only")
	cmd.Stdout, cmd.Stderr = nil, nil
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(string(out), "cannot run with GODEBUG=fips140=only: fingerprints of OpenPGP keys are SHA-1 digests") {
		t.Errorf("with fips140=only: exit status %d\n%s", code, out)
	}
	ctl := m.Digestctl("version")
	ctl.Env = append(os.Environ(), "GODEBUG=fips140=only")
	if out, err := ctl.CombinedOutput(); err == nil || !strings.Contains(string(out), "set GODEBUG=fips140=on") {
		t.Errorf("digestctl with fips140=only: %v\n%s", err, out)
	}
}
