// SPDX-License-Identifier: Apache-2.0

package anchor_test

import (
	"context"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/digestd/digestd/daemon/anchor"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/integration/tokentest"
	"github.com/digestd/digestd/kernel/tpm"
)

// counting is a TPM that counts what wears it out, and takes its time for that.
type counting struct {
	anchor.Chip
	n    atomic.Int32
	slow atomic.Int64 // how long an increment takes
}

func (c *counting) Increment(ctx context.Context, n tpm.Counter) error {
	c.n.Add(1)
	select {
	case <-time.After(time.Duration(c.slow.Load())):
		return c.Chip.Increment(ctx, n)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// clocked runs a test by a clock of its own, on a machine whose anchor is enabled and whose
// daemon anchors what is decided. The TPM is a real one, beside that clock.
func clocked(t *testing.T, test func(t *testing.T, m *machine, c *counting)) {
	t.Helper()
	chip := tokentest.NewTPM(t, filepath.Join(t.TempDir(), "tpm"))
	synctest.Test(t, func(t *testing.T) {
		m := &machine{chip: chip, dir: t.TempDir()}
		m.Machine = daemontest.New(t, func(c *config.Config) {
			c.Anchor, c.AnchorSecret = chip.Where(), filepath.Join(m.dir, "anchor.secret")
		})
		if _, err := m.AnchorEnable(t.Context(), daemontest.Root, "", ""); err != nil {
			t.Fatal(err)
		}
		c := &counting{Chip: m.Anchor.Chip}
		m.Anchor.Chip = c
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- m.Anchor.Loop(ctx) }()
		synctest.Wait()
		test(t, m, c)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		m.Stop()
	})
}

// higher has a package reach a higher version, which is not urgent.
func (m *machine) higher(t *testing.T, version int) {
	t.Helper()
	err := m.Exec.Enter(t.Context(), "note", func(s *ledger.Ledger) error {
		l := s.Lines[view.LineID{Name: "p", Arch: "noarch"}]
		l.Name, l.Arch, l.High = "p", "noarch", nevra.EVR{Version: strconv.Itoa(version), Release: "1"}
		s.SetLine(l)
		s.Plan.Show = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestHourly: what is not urgent is anchored within an hour, and ten thousand decisions take no
// more increments than hours.
func TestHourly(t *testing.T) {
	clocked(t, func(t *testing.T, m *machine, c *counting) {
		// The hour is no multiple of the step: what is decided at the instant of an increment may
		// be a part of it or not, and nothing tells which.
		const events, hours = 10_000, 100
		const step = hours*time.Hour/events + time.Millisecond
		begun := time.Now()
		var due time.Time
		for i := range events {
			m.higher(t, i)
			if due.IsZero() {
				due = time.Now()
			}
			time.Sleep(step)
			if m.AnchorStatus().Standing == api.AnchorDone {
				due = time.Time{}
			} else if since := time.Since(due); since > anchor.Interval+time.Minute {
				t.Fatalf("a decision is not anchored after %v", since)
			}
		}
		time.Sleep(anchor.Interval)
		m.standing(t, api.AnchorDone)
		if n, most := c.n.Load(), int32(time.Since(begun)/anchor.Interval); n > most || n < most/2 {
			t.Errorf("%d decisions in %d hours took %d increments", events, most, n)
		}
		if year := 366 * 24 * time.Hour / anchor.Interval; year > 9000 {
			t.Errorf("%d increments a year", year)
		}
		// Nothing is due: nothing is written.
		n := c.n.Load()
		time.Sleep(10 * anchor.Interval)
		if c.n.Load() != n {
			t.Error("the counter rises, and nothing was decided")
		}
	})
}

// TestAfterQuietDays: what is decided after a long time without anything waits no longer than what
// follows an increment.
func TestAfterQuietDays(t *testing.T) {
	clocked(t, func(t *testing.T, m *machine, c *counting) {
		time.Sleep(100 * anchor.Interval)
		m.higher(t, 1)
		time.Sleep(time.Second)
		if c.n.Load() != 1 {
			t.Errorf("%d increments: the last one was days ago, and this one waits", c.n.Load())
		}
		m.higher(t, 2)
		time.Sleep(anchor.Interval - 2*time.Second)
		m.standing(t, api.AnchorPending)
		time.Sleep(3 * time.Second)
		m.standing(t, api.AnchorDone)
	})
}

// TestUrgent: a denial and a revocation wait for no hour. Their answers wait for the TPM, but no
// longer than two seconds; they say then that they are not anchored yet, and are anchored all the
// same.
func TestUrgent(t *testing.T) {
	clocked(t, func(t *testing.T, m *machine, c *counting) {
		m.higher(t, 1)
		took := func(what, want string, wantTime time.Duration, act func() (string, error)) {
			t.Helper()
			begun := time.Now()
			how, err := act()
			if took := time.Since(begun); err != nil || how != want || took != wantTime {
				t.Errorf("%s: %s, %v, after %v; want %s after %v", what, how, err, took, want, wantTime)
			}
		}
		deny := func() (string, error) {
			d, err := m.Daemon.Deny(t.Context(), daemontest.Root, "tool<"+strconv.Itoa(int(c.n.Load())+1), "", "test", "", time.Time{})
			return d.Anchor, err
		}
		revoke := func() (string, error) {
			k, err := m.Daemon.KeyRevoke(t.Context(), daemontest.Root, strings.Repeat("ab", 20), "test")
			return k.Anchor, err
		}
		took("a denial", api.AnchorDone, 0, deny)
		m.standing(t, api.AnchorDone) // with what was not urgent
		c.slow.Store(int64(1900 * time.Millisecond))
		took("a denial, and a TPM that takes its time", api.AnchorDone, 1900*time.Millisecond, deny)
		c.slow.Store(int64(5 * time.Second))
		n := c.n.Load()
		took("a revocation, and a TPM that is slow", api.AnchorPending, 2*time.Second, revoke)
		m.standing(t, api.AnchorPending)
		time.Sleep(4 * time.Second)
		m.standing(t, api.AnchorDone)
		if c.n.Load() != n+1 {
			t.Errorf("%d increments", c.n.Load()-n)
		}
		// One that never answers in time is asked again, with growing pauses.
		c.slow.Store(int64(time.Minute))
		took("a denial, and a TPM that hangs", api.AnchorPending, 2*time.Second, deny)
		time.Sleep(time.Hour)
		if asked := c.n.Load() - n - 1; asked < 10 || asked > 40 {
			t.Errorf("it was asked %d times in an hour", asked)
		}
		if _, found := m.problem("anchor"); !found {
			t.Error("it hangs, and there is no problem")
		}
		c.slow.Store(0)
		time.Sleep(6 * time.Minute)
		m.standing(t, api.AnchorDone)
	})
}

// TestAtTheEnd: what was decided is anchored when the daemon ends, which a slow TPM holds up for
// two seconds.
func TestAtTheEnd(t *testing.T) {
	clocked(t, func(t *testing.T, m *machine, c *counting) {
		m.Anchor.Last()
		if c.n.Load() != 0 {
			t.Error("nothing was decided, and the counter rose")
		}
		m.higher(t, 1)
		m.Anchor.Last()
		if c.n.Load() != 1 {
			t.Errorf("%d increments", c.n.Load())
		}
		m.standing(t, api.AnchorDone)
		m.higher(t, 2)
		c.slow.Store(int64(time.Minute))
		begun := time.Now()
		m.Anchor.Last()
		if took := time.Since(begun); took != 2*time.Second {
			t.Errorf("the end took %v", took)
		}
	})
}
