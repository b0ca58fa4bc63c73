// SPDX-License-Identifier: Apache-2.0

package host_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/digestd/digestd/daemon/host"
)

// TestRetry: what is left is tried again ever more rarely, until nothing is; another wish
// meanwhile makes it no hurry, and starts it anew later.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		wake := make(chan struct{}, 1)
		began := time.Now()
		var at []time.Duration
		ended := make(chan error, 1)
		go func() {
			ended <- host.Retry(ctx, wake, time.Second, 5*time.Second, func(context.Context) (left bool) {
				at = append(at, time.Since(began))
				return len(at) < 5
			})
		}()
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(at) > 0 {
			t.Errorf("it began by itself: %v", at)
		}
		began = time.Now()
		wake <- struct{}{}
		time.Sleep(time.Millisecond)
		wake <- struct{}{}
		time.Sleep(time.Minute)
		synctest.Wait()
		s := time.Second
		// 1, 2, 4 s and the longest pause; the second wish begins when all is done.
		if want := []time.Duration{s, 3 * s, 7 * s, 12 * s, 17 * s, 18 * s}; !slices.Equal(at, want) {
			t.Errorf("tried at %v, want %v", at, want)
		}
		wake <- struct{}{}
		synctest.Wait()
		cancel() // in a pause
		if err := <-ended; err != nil || len(at) != 6 {
			t.Errorf("it ended with %v, after %d attempts", err, len(at))
		}
	})
}

// TestPause: a burst of events has one end, and there is no timer while nothing happens.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p host.Pause
		if p.C() != nil {
			t.Error("a pause that nobody began ends")
		}
		for range 3 {
			p.Start(time.Second)
			time.Sleep(900 * time.Millisecond)
			select {
			case <-p.C():
				t.Error("it ended amid the burst")
			default:
			}
		}
		began := time.Now()
		<-p.C()
		if took := time.Since(began); took != 100*time.Millisecond {
			t.Errorf("it ended %v after the burst", took)
		}
		if p.Ended(); p.C() != nil {
			t.Error("it is there when it is over")
		}
	})
}
