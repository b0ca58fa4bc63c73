// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"os"
	"testing"
)

func TestUnitIn(t *testing.T) {
	for text, want := range map[string]string{
		"0::/system.slice/dnf-makecache.service\n":                                         "dnf-makecache.service",
		"0::/user.slice/user-1000.slice/session-3.scope\n":                                 "session-3.scope",
		"0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-a.scope\n":         "user@1000.service",
		"0::/system.slice/system-getty.slice/getty@tty1.service\n":                         "getty@tty1.service",
		"0::/system.slice/_cpu.service/sub\n":                                              "cpu.service",
		"12:pids:/system.slice/other.service\n1:name=systemd:/system.slice/sshd.service\n": "sshd.service",
		"0::/\n":              "",
		"0::/init.scope\n":    "init.scope",
		"0::/lxc/payload\n":   "",
		"garbage":             "",
		"0::/a.slice/b.slice": "",
		"":                    "",
	} {
		if got := unitIn(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	UnitOf(uint32(os.Getpid())) // whatever it is, it can be asked for
	if got := UnitOf(1 << 30); got != "" {
		t.Errorf("nobody's unit is %q", got)
	}
}

func FuzzUnitIn(f *testing.F) {
	f.Add("0::/system.slice/a.service\n")
	f.Fuzz(func(t *testing.T, text string) {
		if unit := unitIn(text); len(unit) > len(text) {
			t.Errorf("%q came of %q", unit, text)
		}
	})
}
