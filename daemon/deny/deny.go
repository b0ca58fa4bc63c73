// SPDX-License-Identifier: Apache-2.0

// Package deny takes what is denied out of the list directory: it makes lists anew that
// leave it out, and withdraws those of which nothing is left.
package deny

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/label"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/policy"
)

// Denier makes lists without the denied contents.
type Denier struct {
	*host.Host
	labels  *label.Labels
	changed chan struct{} // what is denied has; Run sleeps until then
}

// New returns a Denier. labels binds files to lists again.
func New(h *host.Host, labels *label.Labels) *Denier {
	return &Denier{Host: h, labels: labels, changed: make(chan struct{}, 1)}
}

// Complete enforces what was just denied, even if ctx has ended, and returns how many lists had
// to leave the directory or to change. It leaves the rest to the next comparison, and the error
// says so.
func (d *Denier) Complete(ctx context.Context) (lists int, err error) {
	ctx = context.WithoutCancel(ctx)
	err = d.Exec.Decide(ctx, "deny", func(s *ledger.Ledger) error {
		s.WithdrawUnknown()
		return nil
	})
	lists, eerr := d.Enforce(ctx)
	if err = errors.Join(err, eerr); err != nil {
		d.WantSync("lists still have what is denied")
		err = fmt.Errorf("the denial is recorded, but some lists still include the denied content: %w", err)
	}
	return lists, err
}

// Change changes what is denied, durably, and takes it over: packages that are denied lose
// their lists, contents stay until [Denier.Enforce]. Lists that were made meanwhile with the
// former denials are made again. If change fails, nothing has happened.
func (d *Denier) Change(ctx context.Context, change func(s *ledger.Ledger) error) error {
	err := d.Exec.Decide(ctx, "deny", func(s *ledger.Ledger) error {
		if err := change(s); err != nil {
			return err
		}
		s.CompileDenials()
		out, _ := s.DeniedLists(nil)
		s.Suspend(out)
		return nil
	})
	d.Changed()
	return err
}

// Changed wakes [Denier.Run] after a change of the denials.
func (d *Denier) Changed() {
	for _, c := range []chan struct{}{d.Ended, d.changed} {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// Run ends denials when they expire, until ctx ends. It sleeps until the next one expires.
func (d *Denier) Run(ctx context.Context) error {
	var pause time.Duration // after an end that could not be recorded
	for {
		var over <-chan time.Time
		var timer *time.Timer
		if next := d.Snapshot().Denials.Next(); !next.IsZero() {
			timer = time.NewTimer(max(next.Sub(d.Now()), pause))
			over = timer.C
		}
		select {
		case <-ctx.Done():
		case <-d.changed:
		case <-over:
			pause = 0
			if err := d.Change(ctx, func(s *ledger.Ledger) error { s.ExpireDenials(); return nil }); err != nil {
				d.Logger.Warn("end of a denial not recorded", "error", err)
				pause = host.LastChore
				break
			}
			d.WantSync("a denial expired")
		}
		if timer != nil {
			timer.Stop()
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// SetOthers replaces the denials of another authority. It does not record them, because
// every start asks their source again. Call it before the first comparison, which could
// otherwise publish denied contents for a moment.
func (d *Denier) SetOthers(ctx context.Context, source string, denials []policy.Denial) error {
	fewer := false
	err := d.Change(ctx, func(s *ledger.Ledger) error {
		others := maps.Clone(s.Others)
		if others == nil {
			others = map[string][]policy.Denial{}
		}
		list := slices.Clone(denials)
		for i := range list {
			list[i].By, list[i].Foreign = source, true
			list[i].ID = cmp.Or(list[i].ID, view.NewDenialID(source+" "+list[i].Subject(), nil))
		}
		fewer = slices.ContainsFunc(others[source], func(was policy.Denial) bool {
			return !slices.ContainsFunc(list, func(is policy.Denial) bool { return is.ID == was.ID })
		})
		others[source] = list
		s.Others = others
		return nil
	})
	if err == nil {
		_, err = d.Complete(ctx)
	}
	if fewer {
		d.WantSync(source + " denies less")
	}
	return err
}
