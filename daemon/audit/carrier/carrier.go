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
	// confirmPause is how long the log must be unchanged before the carrier asks the journal to
	// write to disk: once after a transaction instead of a thousand times within it.
	confirmPause = time.Second
	// After a failure the carrier tries a destination again after these times, at most maxTries
	// times for each sign that the destination is back.
	firstRetry = 100 * time.Millisecond
	lastRetry  = time.Minute
	maxTries   = 6
	// finishTime bounds the delivery of the rest when the daemon stops.
	finishTime = 3 * time.Second
)

// outlet is a destination of log entries.
type outlet interface {
	Send(record.Event) error
	Confirm(context.Context) error // returns when everything that was sent is safe
	Close() error
}

// carrier delivers the log to an outlet, in a goroutine of its own. Entries are durable in the
// index and wait there as long as necessary.
type carrier struct {
	*host.Host
	taker  string
	outlet outlet
	wake   chan struct{} // the log has new entries
	sent   uint64        // number of the last entry that was sent
	safe   uint64        // number of the last entry that the outlet confirmed
	left   bool          // entries waited when the daemon started
	away   bool          // the latest attempt failed
	look   *fsnotify.Watcher
	dir    string // directory in which the outlet's socket appears
}

// run delivers entries until ctx ends.
func (c *carrier) run(ctx context.Context) {
	defer c.stopLooking()
	var again, confirm host.Pause
	tries := 0 // attempts since the outlet last seemed to be back
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
			// If nobody listens, the carrier waits for a new socket or a new entry; an idle
			// daemon sleeps until then.
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
			tries = 0 // a sign may have been missed
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

// carry delivers the entries that were not sent yet.
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

// lost schedules unconfirmed entries for another delivery if err says that they may be lost. An
// entry may arrive twice; its number shows that.
func (c *carrier) lost(err error) error {
	if errors.Is(err, audit.ErrLost) {
		c.sent = c.safe
	}
	return err
}

// confirm records which entries are safe. The record joins the next commit that is made for
// another reason. Entries that a previous daemon left are recorded at once, so that not every
// start delivers them again.
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

// finish delivers the entries of the last transactions when the daemon stops, and records which
// are safe.
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

// fell logs that the outlet takes no records now.
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

// lookOut watches for a new socket of the outlet, at no cost until one appears. The directory
// may disappear and come back with it.
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

// newCarriers returns the carriers that the configuration asks for.
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

// Start delivers the log until ctx ends. The function that it returns then delivers the rest.
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
				// The kernel delays a writer to a full trail, which must not be the daemon.
				return
			}
		}
	}
}
