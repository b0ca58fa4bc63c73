// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"github.com/digestd/digestd/daemon/view"
)

// Withdrawn is a list that left the directory because its key was revoked, with
// its last content.
type Withdrawn struct {
	Entry *view.Entry
	Data  []byte
}
