// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/digestd/digestd/daemon/api"
)

// action is what somebody wants to do that not everybody may; polkit knows it
// under the same name, from org.digestd1.policy.
type action string

// The actions, each with its words for a refusal in describe.
const (
	free           action = "" // reading
	actionSync     action = "org.digestd1.sync"
	actionRollback action = "org.digestd1.rollback"
	actionFloor    action = "org.digestd1.floor"
	actionKeys     action = "org.digestd1.keys"
	actionDeny     action = "org.digestd1.deny"
	actionOwn      action = "org.digestd1.own"
	actionVerify   action = "org.digestd1.verify"
)

func (a action) describe() string {
	switch a {
	case actionSync:
		return "start or cancel a sync"
	case actionRollback:
		return "grant or revoke a rollback"
	case actionFloor:
		return "set or clear a floor"
	case actionKeys:
		return "change which keys count"
	case actionDeny:
		return "deny something or lift a denial"
	case actionOwn:
		return "change the owner's own lists, or the order of lists"
	case actionVerify:
		return "verify files, or see what that found"
	}
	return "do this"
}

// askTime bounds how long polkit may take when it asks a person for a password:
// longer than anybody needs, not for ever.
const askTime = 5 * time.Minute

// refusal says that by whom it was asked for may not do a.
func (a action) refusal(message, advice string) error {
	return &api.Error{Code: api.AccessDenied, Message: message, Advice: advice}
}

// authorize decides whether by may do a: root may, and whoever runs the daemon.
// About others polkit is asked, which may ask an administrator if the caller
// allows that. details name what is about to be done, for the question. It
// waits, but not for a caller who left the bus.
func (s *session) authorize(a action, by api.Actor, details map[string]string, interactive bool) error {
	if a == free || by.Privileged() {
		return nil
	}
	if err := s.waiting.enter(by.UID); err != nil {
		return err
	}
	defer s.waiting.leave(by.UID)
	limit := callTime
	if interactive {
		limit = askTime
	}
	ctx, cancel := context.WithTimeout(s.ctx, limit)
	defer cancel()
	gone := errCallerLeft(a)
	ctx, stop := s.whilePresent(ctx, by.Sender, gone)
	defer stop()
	answer, err := s.askPolkit(ctx, a, by.Sender, details, interactive)
	switch {
	case err == nil && answer.Authorized:
		return nil
	case context.Cause(ctx) == gone:
		return gone
	case s.ctx.Err() != nil:
		return api.Errorf(api.Failed, "digestd is stopping")
	case ctx.Err() != nil:
		return a.refusal("nobody authorized you in time to "+a.describe(), "run it again, or with sudo")
	case errors.Is(err, errNoPolkit):
		return a.refusal("only root may "+a.describe()+": there is no polkit to ask about others", "run it with sudo")
	case err != nil:
		return a.refusal("only root may "+a.describe()+": polkit cannot be asked: "+err.Error(),
			"run it with sudo; the action "+string(a)+" must be installed for others")
	case answer.Details["polkit.dismissed"] != "":
		return a.refusal("the question whether you may "+a.describe()+" was dismissed", "run it again, or with sudo")
	case answer.Challenge && !interactive:
		return a.refusal("only an administrator may "+a.describe()+", and the call does not allow to ask for one", "run it with sudo")
	}
	return a.refusal("polkit does not let you "+a.describe(), "run it with sudo; the action is "+string(a))
}

func errCallerLeft(a action) error {
	return a.refusal("the caller left before it was known whether they may "+a.describe(), "")
}

// How many callers may wait for polkit: of one user, and in all. Each may wait
// for a person, so these are counted apart from calls that are being answered.
const (
	maxWaitingEach = 8
	maxWaiting     = 64
)

// waiting counts those who wait for polkit's word.
type waiting struct {
	mu    sync.Mutex
	each  map[uint32]int
	total int
}

func (w *waiting) enter(uid uint32) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.total >= maxWaiting || w.each[uid] >= maxWaitingEach {
		return &api.Error{Code: api.Busy, Message: "too many calls wait for an authorization", Advice: "answer or dismiss those that wait"}
	}
	if w.each == nil {
		w.each = map[uint32]int{}
	}
	w.total++
	w.each[uid]++
	return nil
}

func (w *waiting) leave(uid uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.total--
	if w.each[uid]--; w.each[uid] == 0 {
		delete(w.each, uid)
	}
}
