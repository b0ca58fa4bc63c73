// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"time"
)

const (
	OwnDir = "own" // in the state directory: the owner's lists as they were made
	// UploadPrefix begins the names of files that are being sent; no own list's name
	// begins so.
	UploadPrefix = ".upload-"
	MaxUploads   = 4
	// UploadRest is how long one may rest before it is given up.
	UploadRest = 2 * time.Minute
)
