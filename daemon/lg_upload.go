// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"time"
)

const (
	ownDir = "own" // in the state directory: the owner's lists as they were made
	// uploadPrefix begins the names of files that are being sent; no own list's name
	// begins so.
	uploadPrefix = ".upload-"
	maxUploads   = 4
	// uploadRest is how long one may rest before it is given up.
	uploadRest = 2 * time.Minute
)
