// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestBackoff: what fails is done again ever more rarely, up to a bound, and often again
// after a success; a second failure while one waits does not make two attempts of it.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b backoff
		var waits []time.Duration
		fails := func() {
			began, done := time.Now(), make(chan struct{})
			b.again(func() { close(done) })
			<-done
			waits = append(waits, time.Since(began))
		}
		for range 9 {
			fails()
		}
		b.reset()
		fails()
		want := []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second,
			160 * time.Second, 320 * time.Second, lastSyncRetry, lastSyncRetry, firstSyncRetry}
		if !slices.Equal(waits, want) {
			t.Errorf("it waited %v, want %v", waits, want)
		}
		attempts := 0
		for range 3 {
			b.again(func() { attempts++ })
			time.Sleep(time.Second)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if attempts != 1 {
			t.Errorf("three failures in a row made %d attempts", attempts)
		}
		b.again(func() { attempts++ })
		b.reset()
		time.Sleep(time.Hour)
		synctest.Wait()
		if attempts != 1 {
			t.Error("it was done again after a success")
		}
	})
}
