// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheckForetells: what digestctl check says of package files is what rpm and digestd
// do with them then.
func TestCheckForetells(t *testing.T) {
	t.Parallel()
	m := start(t)
	m.RPM("-U", m.build("tool-2-1.noarch", "/opt/tool=2"))
	for _, test := range []struct {
		words   []string
		code    int
		says    string
		comes   bool // rpm installs it
		hasList bool
	}{
		{[]string{"tool-1-1.noarch", "/opt/tool=1"}, 3, "would be refused", false, false},
		{[]string{"tool-3-1.noarch", "/opt/tool=3"}, 0, "would be installed with a list", true, true},
		{[]string{"stranger-1-1.noarch", "/opt/stranger=1", "key=other"}, 3, "would be installed without a list", true, false},
		{[]string{"plain-1-1.noarch", "/opt/plain=1", "key="}, 3, "would be installed without a list", true, false},
	} {
		file := filepath.Join(m.In("packages"), filepath.Base(m.build(test.words...)))
		check := m.Digestctl("check", file)
		out, _ := check.CombinedOutput()
		if code := check.ProcessState.ExitCode(); code != test.code || !strings.Contains(string(out), test.says) {
			t.Errorf("%s: exit code %d, want %d and %q:\n%s", test.words[0], code, test.code, test.says, out)
		}
		err := m.RPMCommand("-U", "--oldpackage", filepath.Base(file)).Run()
		if (err == nil) != test.comes {
			t.Errorf("%s: rpm says %v", test.words[0], err)
		}
		name, version, _ := strings.Cut(test.words[0], "-")
		_, err = os.Stat(m.list("tlv-" + name + "-0:" + version))
		if (err == nil) != test.hasList {
			t.Errorf("%s: its list: %v", test.words[0], err)
		}
	}
}
