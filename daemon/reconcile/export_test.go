// SPDX-License-Identifier: Apache-2.0

package reconcile

import "context"

// WatchClock is what ClockLoop does where there is no timer for the wall clock.
func (rc *Reconciler) WatchClock(ctx context.Context) error { return rc.watchClock(ctx) }
