// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"time"
)

// Retry calls again for what could not be done, with pauses that grow from first
// to last, until it reports that nothing is left. It begins when wake says so;
// a failure while it waits does not make it hurry.
func Retry(ctx context.Context, wake <-chan struct{}, first, last time.Duration, again func(context.Context) (left bool)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
		}
		for rest, left := first, true; left; rest = min(2*rest, last) {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(rest):
			}
			left = again(ctx)
		}
	}
}

// The pauses between attempts to do what the state still has to do: small things,
// tried often.
const (
	FirstChore = time.Second
	LastChore  = time.Minute
)

// MostTries is how often something is made again because what it was made by has
// changed meanwhile.
const MostTries = 8
