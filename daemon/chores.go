// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/store"
)

// retry calls again for what could not be done, with pauses that grow from first
// to last, until it reports that nothing is left. It begins when wake says so;
// a failure while it waits does not make it hurry.
func retry(ctx context.Context, wake <-chan struct{}, first, last time.Duration, again func(context.Context) (left bool)) error {
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
	firstChore = time.Second
	lastChore  = time.Minute
)

// choreLoop carries out what the state could not do at once.
func (d *Daemon) choreLoop(ctx context.Context) error {
	return retry(ctx, d.chores, firstChore, lastChore, func(ctx context.Context) (left bool) {
		var written bool
		var freed []withdrawn
		err := d.owner.do(ctx, func(s *state) {
			failed := s.unwritten
			left = s.doChores()
			written = failed && !s.unwritten
			freed = s.takeFreed()
			s.tellAll()
		})
		d.refreshLabels(freed)
		if written {
			// What could not be recorded may have kept lists from being changed.
			d.wantSync("the index can be written again")
		}
		return left && err == nil
	})
}

// doChores tries once more and reports whether something is left.
func (s *state) doChores() (left bool) {
	err := s.settleIndex()
	if err == nil && s.unwritten {
		err = s.probe()
	}
	known := len(s.leftovers)
	left = s.retryLeftovers()
	summed := s.nextSeq
	left = s.sumUp() || left
	if err == nil && (len(s.leftovers) < known || s.nextSeq > summed) {
		err = s.commit()
	}
	s.publish()
	return err != nil || s.unwritten || left
}

// chore has doChores called soon.
func (s *state) chore() {
	select {
	case s.chores <- struct{}{}:
	default:
	}
}

// checkState looks after the state directory when something happened in it, and
// reports whether the index lies there.
func (d *Daemon) checkState(ctx context.Context) (settled bool) {
	d.owner.do(ctx, func(s *state) {
		known := len(s.problems)
		settled = s.settleIndex() == nil
		if len(s.problems) != known {
			s.publish()
		}
	})
	return settled
}

// settleIndex looks whether the index still lies in the state directory, and puts
// it there if it can.
func (s *state) settleIndex() error {
	err := s.index.Settle()
	if err != nil {
		s.indexFailed(err)
		return err
	}
	s.solved("state")
	s.tellOfRestored()
	return nil
}

// indexFailed tells the administrator why nothing is recorded.
func (s *state) indexFailed(err error) {
	if errors.Is(err, store.ErrStateReplaced) {
		s.problem("state", api.SeverityError, err.Error()+"; nothing that is decided is recorded",
			"put the directory back as it was: digestd finds it by itself; to begin with an empty one, make it: mkdir -m 700 "+s.stateDir)
		s.chore()
		return
	}
	s.unwritten = true
	s.problem("index", api.SeverityError, err.Error(), "free space on the file system of the state directory; digestd then goes on by itself")
	s.chore()
}

// tellOfRestored tells the administrator that the state directory was made anew:
// the index is there again, what else was in it is not.
func (s *state) tellOfRestored() {
	if s.index.Restored() {
		s.problem("state-replaced", api.SeverityError, "the state directory was replaced while digestd ran; the index was written to it again, but the key that signs lists and the bodies of own lists are not there",
			"restore signing.* and own/ from a backup, or have new ones made: systemctl restart digestd, then digestctl keys enrol and digestctl own update; find out who removed the directory")
	}
}
