// SPDX-License-Identifier: Apache-2.0

package view

import (
	"time"
)

func Expired(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }
