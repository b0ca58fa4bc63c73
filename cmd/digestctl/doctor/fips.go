// SPDX-License-Identifier: Apache-2.0

package doctor

import "context"

// lookFIPS compares the mode of the kernel, which the rest of the machine follows, with
// digestd's, which only its environment or its build sets.
func lookFIPS(_ context.Context, p *patient) {
	kernel, _ := p.read("/proc/sys/crypto/fips_enabled") // only some kernels have it
	switch st, err := p.status(); {
	case err != nil && kernel == "1\n":
		p.skip("the kernel is in FIPS mode; digestd does not say whether it is")
	case st.FIPS != "":
		p.ok("digestd is in FIPS mode, module %s", st.FIPS)
	case kernel == "1\n":
		p.warn("", "the kernel is in FIPS mode, and digestd is not")
		p.advise("add Environment=GODEBUG=fips140=on to digestd.service and digestd-guard.service by systemctl edit; see docs/fips.md")
	default:
		p.ok("the kernel is not in FIPS mode")
	}
}
