// SPDX-License-Identifier: Apache-2.0

package object

import (
	"log/slog"
	"sync"
	"time"
)

// The largest numbers of refusals that are logged one by one in each window of time: of one
// user, and in all. The journal takes everything of the service, so that a user who calls what
// he may not as fast as he can must not be able to fill it.
const (
	MaxRefusalsEach  = 5
	maxRefusals      = 50
	maxRefusingUsers = 256 // users that are counted apart in one window
)

// refusals logs refused calls, and counts those that are too many to be logged one
// by one: their number follows at the end of the window.
type refusals struct {
	log    *slog.Logger
	window time.Duration

	mu     sync.Mutex
	open   bool // a window is
	logged int
	users  map[uint32]*refused
	others int // refusals of users that are not counted apart
}

// refused counts the refusals of one user in a window.
type refused struct{ logged, more int }

func newRefusals(log *slog.Logger, window time.Duration) *refusals {
	return &refusals{log: log, window: window, users: map[uint32]*refused{}}
}

// note logs or counts a refusal of what a user asked for.
func (r *refusals) note(uid uint32, message string, attributes ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.open {
		r.open = true
		time.AfterFunc(r.window, r.end)
	}
	u := r.users[uid]
	switch {
	case u == nil && len(r.users) >= maxRefusingUsers:
		r.others++
		return
	case u == nil:
		u = &refused{}
		r.users[uid] = u
	}
	if u.logged >= MaxRefusalsEach || r.logged >= maxRefusals {
		u.more++
		return
	}
	u.logged++
	r.logged++
	r.log.Warn(message, attributes...)
}

// end sums up a window, in one line for all users.
func (r *refusals) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls, users, most, by := r.others, 0, 0, uint32(0)
	for uid, u := range r.users {
		calls += u.more
		if u.more > 0 {
			users++
		}
		if u.more > most {
			most, by = u.more, uid
		}
	}
	if calls > 0 {
		r.log.Warn("more calls refused", "calls", calls, "users", users, "most_uid", by, "most_calls", most)
	}
	r.open, r.logged, r.others = false, 0, 0
	clear(r.users)
}
