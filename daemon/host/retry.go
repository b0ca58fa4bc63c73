// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"time"
)

// Retry calls again until it reports that nothing is left, with pauses that grow from first to
// last. It begins when wake receives; further wakes do not shorten a pause.
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

// The pauses between attempts of small work that the state still has to do.
const (
	FirstChore = time.Second
	LastChore  = time.Minute
)

// MostTries is how often work is done again because the settings or keys under which it was done
// changed meanwhile.
const MostTries = 8
