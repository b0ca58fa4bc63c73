// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/view"
)

// delivery is what became of the signed entries for the kernel's .blacklist.
type delivery struct {
	files, added int
	unable       error // why the kernel takes none at all
	bad          []error
}

// tellOfBlobs says which entries the kernel does not have, and why. That it takes
// none is how it was built, and no fault of anybody here.
func (s *state) tellOfBlobs(c delivery) {
	s.solved("blacklist-unable")
	s.solved("blacklist")
	if c.unable != nil {
		s.problem("blacklist-unable", api.SeverityNotice,
			fmt.Sprintf("%s for the kernel's .blacklist cannot be added, so the kernel does not know what they revoke: %v", view.Plural(c.files, "file"), c.unable),
			"a kernel takes them that is built with CONFIG_SYSTEM_BLACKLIST_AUTH_UPDATE and has their signer's certificate built in; "+
				"until then digestctl keys revoke, or a floor, keeps lists out")
	}
	if len(c.bad) > 0 {
		s.problem("blacklist", api.SeverityWarning,
			fmt.Sprintf("%s for the kernel's .blacklist cannot be used: %v", view.Plural(len(c.bad), "file"), c.bad[0]),
			"sign the entry anew by a certificate that is built into the kernel, or remove both files")
	}
}
