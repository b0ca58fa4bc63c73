// SPDX-License-Identifier: Apache-2.0

package vm_test

import "testing"

func TestService(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.boot(boot{script: "service.sh", trees: []string{packages(t)}})
}

// A configuration that digestd cannot read costs the lists, not the machine.
func TestBrokenConfiguration(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.boot(boot{
		script: "broken.sh", trees: []string{packages(t)},
		files: map[string]string{"/etc/digestd/digestd.conf": "mode = \"enforced\"\n"},
	})
}
