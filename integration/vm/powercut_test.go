// SPDX-License-Identifier: Apache-2.0

package vm_test

import "testing"

// The power fails while rpm upgrades many packages: some are in its database and
// some are not, on the disk is what reached it. At the next boot the lists are
// what rpm's database says, before anything that a package brought can run.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	for _, cut := range []struct{ name, at string }{
		{"install", "bulk030-1.0"},
		{"upgrade", "bulk030-2.0"},
	} {
		t.Run(cut.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.boot(boot{script: "powercut.sh", trees: []string{packages(t)}, cutAt: cut.at})
			m.boot(boot{script: "converged.sh"})
		})
	}
}
