// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"github.com/digestd/digestd/daemon/api"
)

const (
	// preparedSuffix marks an identity that may be enrolled but signs nothing yet.
	preparedSuffix = ".prepared"
	// nextSuffix marks one that takes over, as soon as its certificate has it.
	nextSuffix = ".next"
	// oldDir keeps the certificates that signed before.
	oldDir = "signing-old"

	// useLists marks the record of a key that signs lists, not packages.
	useLists = api.UseLists
)
