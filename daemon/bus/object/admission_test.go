// SPDX-License-Identifier: Apache-2.0

package object

import (
	"context"
	"sync"
	"testing"
	"time"
)

// A turn that is not taken, because its call ran out of time, does not count.
func TestTurnGivenUp(t *testing.T) {
	var turns turns
	done, err := turns.take(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := turns.take(ctx, 1); err != errCrowded {
		t.Errorf("a second turn of one user came to %v", err)
	}
	done()
	if done, err = turns.take(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	done()
	if len(turns.waiting) != 0 || len(turns.running) != 0 || len(turns.last) != 0 {
		t.Errorf("left: %+v", turns.waiting)
	}
}

// The user who was served longest ago is next, not who has the most calls.
func TestTurnsAreFair(t *testing.T) {
	var turns turns
	var order []uint32
	var mu sync.Mutex
	var group sync.WaitGroup
	first, _ := turns.take(t.Context(), 100)
	second, _ := turns.take(t.Context(), 101)
	for _, uid := range []uint32{1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3} {
		n := len(turns.waiting)
		group.Go(func() {
			done, err := turns.take(t.Context(), uid)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			order = append(order, uid)
			mu.Unlock()
			done()
		})
		waits := func() bool { turns.mu.Lock(); defer turns.mu.Unlock(); return len(turns.waiting) > n }
		for end := time.Now().Add(30 * time.Second); !waits(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("it never waits")
			}
		}
	}
	first()
	second()
	group.Wait()
	for i, uid := range order {
		if uid == 3 && i > 5 {
			t.Errorf("user 3 came %d of %v", i, order)
		}
	}
}
