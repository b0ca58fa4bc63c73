// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"time"
)

func expired(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }
