// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
)

// ErrAgain means that keys, denials or settings changed since something was made.
var ErrAgain = errors.New("keys, denials or settings change all the time")
