// SPDX-License-Identifier: Apache-2.0

package vm_test

import "testing"

// Debian 14's kernel has appraise_type=sigv3, which takes signatures of version 3 and refuses
// those of version 2.
func TestKernelJudgesVersion3(t *testing.T) {
	whole(t)
	t.Parallel()
	m := newMachine(t)
	m.boot(boot{
		script: "sigv3.sh", trees: []string{packages(t)}, stock: "forky",
		kernel: "ima_appraise=enforce ima_hash=sha256 integrity_audit=1",
	})
}

// The kernel itself judges lists. Debian's has no Integrity Digest Cache, no appended
// signatures in IMA (IMA_APPRAISE_MODSIG) and no trusted keyrings (INTEGRITY_TRUSTED_KEYRING):
// root fills _ima, no certification authority is asked. Its keyring shows the two halves: IMA
// appraises lists by the machine's certificate in its keyring, and the PKCS#7 parser that
// appended signatures go through takes digestd's signatures, and no others.
func TestKernelJudgesLists(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.boot(boot{
		script: "ima.sh", trees: []string{packages(t)},
		kernel: "ima_appraise=enforce ima_hash=sha256 integrity_audit=1",
	})
}
