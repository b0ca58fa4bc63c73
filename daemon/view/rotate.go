// SPDX-License-Identifier: Apache-2.0

package view

import (
	"github.com/digestd/digestd/daemon/api"
)

const (
	// PreparedSuffix marks an identity that may be enrolled but signs nothing yet.
	PreparedSuffix = ".prepared"
	// NextSuffix marks one that takes over, as soon as its certificate has it.
	NextSuffix = ".next"
	// OldDir keeps the certificates that signed before.
	OldDir = "signing-old"

	// UseLists marks the record of a key that signs lists, not packages.
	UseLists = api.UseLists
)
