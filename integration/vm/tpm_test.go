// SPDX-License-Identifier: Apache-2.0

package vm_test

import (
	"path/filepath"
	"testing"

	"github.com/digestd/digestd/integration/tokentest"
)

// Confined as it is by systemd, digestd has its key in the machine's TPM, and
// finds it there after the next boot.
func TestKeyInTPM(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	tpm := tokentest.NewMachineTPM(t, filepath.Join(m.dir, "tpm"))
	m.tpm = tpm.Socket
	trees := []string{packages(t)}
	m.boot(boot{
		script: "tpm.sh", trees: trees,
		files: map[string]string{"/etc/digestd/digestd.conf.d/tpm.conf": "signing-key = \"tpm:\"\n"},
	})
	tpm.Stop() // it went off with the machine
	tpm.Start()
	m.boot(boot{script: "tpmagain.sh", trees: trees})
}
