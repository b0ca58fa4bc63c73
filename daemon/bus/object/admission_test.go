// SPDX-License-Identifier: Apache-2.0

package object

import (
	"context"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
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
	type grant struct {
		uid  uint32
		done func()
	}
	var turns turns
	granted := make(chan grant)
	first, _ := turns.take(t.Context(), 100)
	second, _ := turns.take(t.Context(), 101)
	users := []uint32{1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3}
	for i, uid := range users {
		go func() {
			if done, err := turns.take(t.Context(), uid); err == nil {
				granted <- grant{uid, done}
			}
		}()
		limit := time.After(30 * time.Second)
		for waits := func() bool { turns.mu.Lock(); defer turns.mu.Unlock(); return len(turns.waiting) > i }; !waits(); {
			select {
			case <-limit:
				t.Fatal("it never waits")
			case <-time.After(time.Millisecond):
			}
		}
	}
	first()
	second()
	// A turn ends only when the other is known to have begun, however late its
	// goroutine says so.
	var held []grant
	for n := 0; n < len(users); {
		if len(held) == MaxTurns || len(held) > 0 && n >= len(users)-MaxTurns {
			held[0].done()
			held = held[1:]
		}
		select {
		case g := <-granted:
			if g.uid == 3 && n > 5 {
				t.Errorf("user 3 came as number %d", n)
			}
			held = append(held, g)
			n++
		case <-time.After(30 * time.Second):
			t.Fatalf("only %d of %d had a turn", n, len(users))
		}
	}
	for _, g := range held {
		g.done()
	}
}

// The arguments of calls in progress are bounded for each user and for all, but not for root.
func TestBytesInProgress(t *testing.T) {
	var a admission
	if err := a.enter(":1.1"); err != nil {
		t.Fatal(err)
	}
	enter := func(uid uint32, bytes int, fits bool) (leave func()) {
		t.Helper()
		leave, err := a.enterUser(api.Actor{UID: uid}, bytes)
		if (err == nil) != fits {
			t.Errorf("user %d with %d bytes: %v", uid, bytes, err)
		}
		return leave
	}
	first := enter(1001, maxBytesUser-fewBytes-1, true)
	enter(1001, fewBytes+2, false)
	second := enter(1001, fewBytes+1, true)
	enter(0, maxBytesOrdinary, true)
	enter(1002, maxBytesOrdinary-maxBytesUser, true)
	enter(1003, fewBytes+1, false)
	enter(1003, fewBytes, true)
	first()
	second()
	if _, left := a.users[1001]; left {
		t.Error("a user without calls is remembered")
	}
	enter(1001, maxBytesUser, true)
}
