// SPDX-License-Identifier: Apache-2.0

package build

import (
	"github.com/digestd/digestd/daemon/ledger"
)

// An own list goes through the same policy as a package: it is the package
// "own:NAME", which no real one can be called, and its counter is the version.

// OwnSigner names the certificate by which m signs own lists: the machine's, also
// where packages bring their own signature.
func (m *Builder) OwnSigner() string {
	if m.Sign == ledger.SignNone {
		return m.Sign
	}
	return m.Identity.SKI()
}
