// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/preflight"
)

// checker looks for files that the machine needs and no list holds, before a guard enforces
// whose configuration says so. It is a process of its own, for that takes capabilities that
// digestd-guard has not, and nothing waits for it.
type checker struct {
	socket string
	log    *slog.Logger
	proc   string

	examine time.Duration // bounds one check; twice as long after one that did not end in time
	redial  time.Duration // how long digestd-guard may be away, as when it is upgraded
	rest    time.Duration // between two checks at least: on a slow disk one takes seconds
	again   time.Duration // until one that has not passed is made again though no list changed

	failed int // checks in a row that could not be made
}

// mostExamine bounds one check on the slowest machine.
const mostExamine = 30 * time.Minute

func newChecker(socket string, log *slog.Logger) *checker {
	return &checker{socket: socket, log: log, proc: "/proc", examine: 2 * time.Minute, redial: time.Minute, rest: 5 * time.Second, again: 10 * time.Minute}
}

// run checks until nothing waits for a check any more: one has passed, or the owner decided
// otherwise.
func (k *checker) run(ctx context.Context) error {
	for {
		c, err := k.dial(ctx)
		switch {
		case err != nil && ctx.Err() != nil:
			return nil
		case err != nil: // its unit wants this one again when it starts
			k.log.Info("nothing is checked: digestd-guard is not there", "error", err)
			return nil
		}
		done, err := k.converse(ctx, c)
		c.Close()
		switch {
		case done || ctx.Err() != nil:
			return nil
		case err != nil && !errors.Is(err, context.DeadlineExceeded):
			k.log.Warn("digestd-guard is asked again", "error", err)
		}
		if !pause(ctx, k.rest) {
			return nil
		}
	}
}

// dial waits for digestd-guard.
func (k *checker) dial(ctx context.Context) (*protocol.Client, error) {
	for until := time.Now().Add(k.redial); ; {
		c, err := protocol.Dial(ctx, k.socket)
		if err == nil || ctx.Err() != nil || time.Now().After(until) {
			return c, err
		}
		pause(ctx, 100*time.Millisecond)
	}
}

// pause reports whether ctx goes on after it.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// converse makes one check, as soon as there are digests to check against, and waits for
// another reason to make one if it has not passed.
func (k *checker) converse(ctx context.Context, c *protocol.Client) (done bool, err error) {
	state, err := c.Watch(ctx, 0)
	if err != nil {
		return false, err
	}
	is, err := c.Status(ctx)
	for ; err == nil && is.Unchecked && is.Commit == 0; is, err = c.Status(ctx) {
		if state, err = c.Watch(ctx, state); err != nil {
			return false, err
		}
	}
	if err != nil || !is.Unchecked {
		return err == nil, err
	}
	found := k.check(ctx, c)
	if ctx.Err() != nil {
		return true, nil
	}
	switch err := c.Checked(ctx, found); {
	case errors.Is(err, protocol.ErrRefused): // the owner was faster
	case err != nil:
		return false, err
	case found.Passed():
		return true, nil
	}
	good := k.good(found)
	// The state is that from before the check: what changed during it counts.
	if state, err = changed(ctx, c, state, good); err == nil {
		_, err = changed(ctx, c, state, good) // the first change is that of the check
	}
	return false, err
}

// good says how long a check is good for that has not passed. One that could not be made says
// nothing of the files: it is made again soon, and then less and less often.
func (k *checker) good(found protocol.Check) time.Duration {
	if found.Error == "" {
		k.failed = 0
		return k.again
	}
	k.failed = min(k.failed+1, 20)
	return min(k.rest<<k.failed, k.again)
}

// changed waits for a change, no longer than d.
func changed(ctx context.Context, c *protocol.Client, state uint64, d time.Duration) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return c.Watch(ctx, state)
}

// check makes one check.
func (k *checker) check(ctx context.Context, c *protocol.Client) (found protocol.Check) {
	ctx, cancel := context.WithTimeout(ctx, k.examine)
	defer cancel()
	r, err := preflight.Machine{Proc: k.proc, Shells: "/etc/shells", Listed: c.Listed}.Examine(ctx)
	if err != nil {
		if found.Error = short(err.Error()); ctx.Err() != nil {
			found.Error = short(fmt.Sprintf("the check did not end within %v: %v", k.examine, err))
			k.examine = min(2*k.examine, mostExamine)
		}
		return found
	}
	needed := r.Needed()
	found.Looked, found.Refused = r.Looked, len(needed)
	for i, f := range needed {
		if i < protocol.MostNamed {
			found.First = append(found.First, short(f.Path))
		}
		k.log.Warn("the guard would refuse a file that this machine needs", "path", f.Path, "why", f.Why, "digest", f.Digest, "error", f.Error)
	}
	if others := len(r.Findings) - len(needed); others > 0 {
		k.log.Warn("the guard would refuse files that only users run", "files", others, "advice", "see digestctl guard check")
	}
	return found
}

// short cuts a text to what the protocol carries, in valid UTF-8.
func short(text string) string {
	const most = 500
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= most {
		return text
	}
	return fmt.Sprintf("%s...", strings.ToValidUTF8(text[:most-3], ""))
}
