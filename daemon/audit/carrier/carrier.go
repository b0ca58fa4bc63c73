// SPDX-License-Identifier: Apache-2.0

// Package carrier brings the log to the journal and to the kernel's audit trail. Decisions are
// durable in the index and wait there as long as necessary.
package carrier

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/store/record"
	"github.com/fsnotify/fsnotify"
)

const (
	// carried is how many entries of the log are read at a time.
	carried = 256
	// confirmPause is how long the log must rest before the journal is asked to
	// have it on disk: once after a transaction, not a thousand times within it.
	confirmPause = time.Second
	// It tries a destination that takes no records again after these times, but only so often
	// after each sign of life.
	firstRetry = 100 * time.Millisecond
	lastRetry  = time.Minute
	maxTries   = 6
	// finishTime bounds what carrying the rest may take when the daemon stops.
	finishTime = 3 * time.Second
)

// outlet is where entries of the log go.
type outlet interface {
	Send(record.Event) error
	Confirm(context.Context) error // that all that was sent is safe
	Close() error
}

// carrier brings the log to an outlet, on a goroutine of its own: what is
// decided is durable in the index, and waits there for as long as it must.
type carrier struct {
	*host.Host
	taker  string
	outlet outlet
	wake   chan struct{} // the log grew
	sent   uint64        // the last entry that was handed over
	safe   uint64        // the last that is known to be safe
	left   bool          // entries waited when the daemon started
	away   bool          // the last attempt failed
	look   *fsnotify.Watcher
	dir    string // where a sign of the outlet's return appears
}

// run carries until ctx ends.
func (c *carrier) run(ctx context.Context) {
	defer c.stopLooking()
	var again, confirm host.Pause
	tries := 0 // since the last sign that it could succeed
	retry := func() {
		again.Start(min(firstRetry<<tries, lastRetry))
		tries = min(tries+1, 16)
	}
	for {
		err := c.carry(ctx)
		switch {
		case errors.Is(err, audit.ErrNoTrail):
			c.Logger.Debug("refusals do not go to the audit trail", "error", err)
			return
		case err != nil && ctx.Err() == nil:
			c.fell(ctx, err)
			c.lookOut()
			// If nobody listens, the next sign is a new socket or a decision; an idle daemon
			// sleeps until then.
			if tries < maxTries || errors.Is(err, os.ErrDeadlineExceeded) {
				retry()
			}
		default:
			if c.away {
				c.rose(ctx)
			}
			if c.sent > c.safe && !again.Begun() {
				confirm.Start(confirmPause)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
			tries = 0
		case <-c.seen():
			tries = 0
		case <-c.unseen():
			tries = 0 // signs were lost
		case <-again.C():
			again.Ended()
		case <-confirm.C():
			confirm.Ended()
			if err := c.confirm(ctx); err == nil {
				tries = 0
			} else if ctx.Err() == nil {
				c.Logger.Warn("records not confirmed", "by", c.taker, "error", err)
				retry()
			}
		}
	}
}

// carry hands over what the log has beyond the last entry that was.
func (c *carrier) carry(ctx context.Context) error {
	for ctx.Err() == nil {
		events, err := c.Index.EventsAfter(c.sent, carried)
		if err != nil || len(events) == 0 {
			return err
		}
		if first := events[0].Seq; c.sent > 0 && first > c.sent+1 {
			n := first - c.sent - 1
			c.Logger.Error("decisions were dropped before they could be told", "to", c.taker, "count", n)
			events = append([]record.Event{{Kind: audit.KindRecordsLost, Seq: first - 1, When: c.Now(), Text: fmt.Sprintf("%d of them", n)}}, events...)
		}
		for _, e := range events {
			if ctx.Err() != nil {
				break
			}
			if err := c.outlet.Send(e); err != nil {
				return c.lost(err)
			}
			c.sent = e.Seq
		}
	}
	return nil
}

// lost has everything sent again that is not known to be safe, if the error says
// that it may be gone. Some may come twice; they bear their numbers.
func (c *carrier) lost(err error) error {
	if errors.Is(err, audit.ErrLost) {
		c.sent = c.safe
	}
	return err
}

// confirm records what is safe, with the next commit that is made for another
// reason; and at once for what was left by the daemon before this one, which
// must not be told at every start.
func (c *carrier) confirm(ctx context.Context) error {
	upTo := c.sent
	if err := c.outlet.Confirm(ctx); err != nil {
		return c.lost(err)
	}
	c.safe = upTo
	c.Logger.Debug("records are safe", "by", c.taker, "last", upTo)
	now := c.left
	c.left = false
	return c.Exec.Enter(context.WithoutCancel(ctx), "taken", func(s *ledger.Ledger) error {
		s.TakenUpTo(c.taker, upTo, now)
		return nil
	})
}

// finish carries what the last transactions left, when the daemon stops, and
// records how far that came.
func (c *carrier) finish() error {
	ctx, cancel := context.WithTimeout(context.Background(), finishTime)
	defer cancel()
	defer c.outlet.Close()
	err := c.carry(ctx)
	if err == nil && c.sent > c.safe {
		err = c.confirm(ctx)
	}
	return errors.Join(err, c.Exec.Enter(ctx, "taken", func(s *ledger.Ledger) error {
		s.RecordTaken()
		return nil
	}))
}

// fell says that nobody takes the records now.
func (c *carrier) fell(ctx context.Context, err error) {
	if c.away {
		return
	}
	c.away = true
	if c.taker != state.TakerJournal {
		c.Logger.Warn("refusals not told", "to", c.taker, "error", err)
		return
	}
	c.Exec.Enter(ctx, "note", func(s *ledger.Ledger) error {
		s.Problem("journal", api.SeverityNotice, "the journal does not accept the records of decisions, which wait in the index: "+err.Error(),
			`check that journald is running: systemctl status systemd-journald; without journald set audit-trail = "none" in digestd.conf`)
		s.Show()
		return nil
	})
}

func (c *carrier) rose(ctx context.Context) {
	c.away = false
	c.stopLooking()
	c.Logger.Info("records of decisions are taken again", "by", c.taker)
	if c.taker != state.TakerJournal {
		return
	}
	c.Exec.Enter(ctx, "note", func(s *ledger.Ledger) error {
		s.Solved("journal")
		s.Show()
		return nil
	})
}

// lookOut watches for the outlet's socket to be made anew, which costs nothing
// until it is. The directory may come and go with it.
func (c *carrier) lookOut() {
	if c.dir == "" {
		return
	}
	if c.look == nil {
		look, err := fsnotify.NewWatcher()
		if err != nil {
			return
		}
		c.look = look
	}
	c.look.Add(filepath.Dir(c.dir))
	c.look.Add(c.dir)
}

func (c *carrier) seen() <-chan fsnotify.Event {
	if c.look == nil {
		return nil
	}
	return c.look.Events
}

func (c *carrier) unseen() <-chan error {
	if c.look == nil {
		return nil
	}
	return c.look.Errors
}

func (c *carrier) stopLooking() {
	if c.look != nil {
		c.look.Close()
		c.look = nil
	}
}

// newCarriers makes those that the configuration asks for.
func newCarriers(h *host.Host, s *ledger.Ledger) (carriers []*carrier) {
	add := func(taker string, o outlet, dir string) {
		c := &carrier{Host: h, taker: taker, outlet: o, wake: make(chan struct{}, 1), dir: dir, sent: s.Taken[taker], safe: s.Taken[taker]}
		c.left = c.safe+1 < s.NextSeq
		carriers = append(carriers, c)
		h.Exec.Wakes[state.WakeLog] = append(h.Exec.Wakes[state.WakeLog], c.wake)
	}
	dir := h.Config.AuditTrail
	switch dir {
	case state.TrailNone:
		return nil
	case "system":
		dir = audit.JournalDir
		if trail, err := audit.OpenTrail(); err == nil {
			add(state.TakerKernel, trail, "")
		}
	}
	add(state.TakerJournal, audit.NewJournal(dir), dir)
	return carriers
}

// Start has the log carried until ctx ends, and returns what carries the
// rest of it then.
func Start(ctx context.Context, h *host.Host) (finish func()) {
	var carriers []*carrier
	h.Exec.Enter(ctx, "carriers", func(s *ledger.Ledger) error {
		carriers = newCarriers(h, s)
		return nil
	})
	running := make([]chan struct{}, len(carriers))
	for i, c := range carriers {
		ended := make(chan struct{})
		running[i] = ended
		go func() {
			defer close(ended)
			c.run(ctx)
		}()
	}
	return func() {
		timeout := time.After(finishTime)
		for i, c := range carriers {
			select {
			case <-running[i]:
				if err := c.finish(); err != nil {
					h.Logger.Info("records of decisions wait for the next start", "for", c.taker, "error", err)
				}
			case <-timeout:
				// The kernel holds who writes to a trail that is full; not us.
				return
			}
		}
	}
}
