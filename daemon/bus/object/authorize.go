// SPDX-License-Identifier: Apache-2.0

package object

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/digestd/digestd/daemon/api"
)

// Action is what somebody wants to do that not everybody may.
type Action struct {
	Name  string // by which polkit knows it
	Words string // for a refusal: may "start or cancel a sync"
}

// Free is what everybody may do.
var Free = Action{}

// askTime bounds how long polkit may take when it asks a person for a password:
// longer than anybody needs, not for ever.
const askTime = 5 * time.Minute

// refusal says that by whom it was asked for may not do a.
func (a Action) refusal(message, advice string) error {
	return &api.Error{Code: api.AccessDenied, Message: message, Advice: advice}
}

// authorize decides whether by may do a: root may, and the user that the daemon runs as.
// About others polkit is asked, which may ask an administrator if the caller
// allows that. details name what is about to be done, for the question. It
// waits, but not for a caller who left the bus.
func (s *session) authorize(a Action, by api.Actor, details map[string]string, interactive bool) error {
	if a == Free || by.Privileged() {
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
		return errStopping(s.object.Program)
	case ctx.Err() != nil:
		return a.refusal("polkit received no authorization in time to "+a.Words, "run it again, or with sudo")
	case errors.Is(err, errNoPolkit):
		return a.refusal("only root may "+a.Words+", because polkit is not running", "run it with sudo")
	case err != nil:
		return a.refusal("only root may "+a.Words+", because digestd cannot ask polkit: "+err.Error(),
			"run it with sudo; the action "+a.Name+" must be installed to authorize other users")
	case answer.Details["polkit.dismissed"] != "":
		return a.refusal("the authorization to "+a.Words+" was dismissed", "run it again, or with sudo")
	case answer.Challenge && !interactive:
		return a.refusal("only an administrator may "+a.Words+", and the call does not allow interactive authorization", "run it with sudo")
	}
	return a.refusal("polkit does not let you "+a.Words, "run it with sudo; the action is "+a.Name)
}

func errCallerLeft(a Action) error {
	return a.refusal("the caller left the bus before polkit authorized them to "+a.Words, "")
}

// The largest numbers of callers that wait for polkit: of one user, and in all. Each may wait
// for a person, so these are counted apart from calls that are being answered.
const (
	MaxWaitingEach = 8
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
	if w.total >= maxWaiting || w.each[uid] >= MaxWaitingEach {
		return &api.Error{Code: api.Busy, Message: "too many calls are waiting for authorization", Advice: "answer or dismiss the pending requests"}
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
