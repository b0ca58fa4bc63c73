// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"fmt"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/view"
)

// Delivery is what became of the signed entries for the kernel's .blacklist.
type Delivery struct {
	Files, Added int
	Unable       error // why the kernel takes none at all
	Bad          []error
}

// TellOfBlobs says which entries the kernel does not have, and why. That it takes
// none is how it was built, and no fault of anybody here.
func (s *Grounds) TellOfBlobs(c Delivery) {
	s.Solved("blacklist-unable")
	s.Solved("blacklist")
	if c.Unable != nil {
		s.Problem("blacklist-unable", api.SeverityNotice,
			fmt.Sprintf("%s for the kernel's .blacklist cannot be added, so the kernel does not know what they revoke: %v", view.Plural(c.Files, "file"), c.Unable),
			"a kernel takes them that is built with CONFIG_SYSTEM_BLACKLIST_AUTH_UPDATE and has their signer's certificate built in; "+
				"until then digestctl keys revoke, or a floor, keeps lists out")
	}
	if len(c.Bad) > 0 {
		s.Problem("blacklist", api.SeverityWarning,
			fmt.Sprintf("%s for the kernel's .blacklist cannot be used: %v", view.Plural(len(c.Bad), "file"), c.Bad[0]),
			"sign the entry anew by a certificate that is built into the kernel, or remove both files")
	}
}
