// SPDX-License-Identifier: Apache-2.0

package reconcile_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/integration/pkgtest"
	"github.com/digestd/digestd/store/record"
)

// TestSignatureEnds: a list leaves when the signature that vouches for it ends, with
// nobody asking.
func TestSignatureEnds(t *testing.T) {
	m := daemontest.New(t, signed)
	hello := daemontest.Package(t, "hello", "vendor", map[string]string{"/usr/bin/hello": "one"})
	m.Install(t, hello)
	m.Import(t, hello.Key)
	m.Sync(t)
	daemontest.Loop(t, m.Reconciler.ClockLoop)
	m.Enter(t, func(s *ledger.Ledger) {
		e := *s.ByName[listOf(hello)]
		ends := *e.Signature
		ends.Ends = time.Now().Add(500 * time.Millisecond)
		e.Signature = &ends
		s.Save(&e)
	})
	m.Timed <- struct{}{}
	if got := m.Names(t); !slices.Equal(got, []string{listOf(hello)}) {
		t.Errorf("before the end the lists are %v", got)
	}
	daemontest.Await(t, "the list is gone", func() bool { return len(m.Names(t)) == 0 })
	awaitWish(t, m, "time has come for a key or a signature")
}

// TestClockIsLookedAt: where no timer can be had, the clock is looked at once a minute. A
// package that was signed in the future gets its list when that is the present; a clock
// that was set has everything judged anew.
func TestClockIsLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(pkgtest.Epoch.Add(-time.Hour)))
		m := daemontest.New(t, signed)
		hello := daemontest.Package(t, "hello", "vendor", map[string]string{"/usr/bin/hello": "one"})
		m.Install(t, hello)
		m.Import(t, hello.Key)
		m.Sync(t)
		if e := m.Snapshot().List(listOf(hello)); e == nil || e.State != record.Withheld || len(m.Names(t)) > 0 {
			t.Fatalf("before it was signed: %+v", e)
		}
		stop := daemontest.Loop(t, m.Reconciler.WatchClock)
		time.Sleep(25 * time.Minute) // the clock of a signer may be ahead by half an hour
		if reason, wanted := m.Wants(); wanted {
			t.Errorf("before the time a comparison is wanted: %s", reason)
		}
		time.Sleep(7 * time.Minute)
		if reason, _ := m.Wants(); reason != "time has come for a key or a signature" {
			t.Errorf("a comparison is wanted: %q", reason)
		}
		m.Sync(t)
		if got := m.Names(t); !slices.Equal(got, []string{listOf(hello)}) {
			t.Errorf("when it was signed, the lists are %v", got)
		}
		stop()
	})
}
