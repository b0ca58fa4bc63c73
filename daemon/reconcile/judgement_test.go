// SPDX-License-Identifier: Apache-2.0

package reconcile_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/reconcile"
	"github.com/digestd/digestd/integration/bench/gendb"
	"github.com/digestd/digestd/store/record"
)

// older has the daemon take lists for verified by another release.
func older(t *testing.T, m *daemontest.Machine) {
	t.Helper()
	m.Enter(t, func(s *ledger.Ledger) {
		for _, e := range slices.Collect(slices.Values(s.Sorted())) {
			was := *e
			was.Rules, was.Signature = "of before", nil
			s.Save(&was)
		}
	})
}

// TestVerifiedAgain: lists that another release verified are verified by the rules of this
// one, also while a transaction is in flight; the files of those that pass stay.
func TestVerifiedAgain(t *testing.T) {
	m := daemontest.New(t, signed)
	hello := daemontest.Package(t, "hello", "vendor", map[string]string{"/usr/bin/hello": "one"})
	m.Install(t, hello)
	m.Import(t, hello.Key)
	m.Sync(t)
	list := filepath.Join(m.Config.Lists, listOf(hello))
	before, err := os.Stat(list)
	if err != nil {
		t.Fatal(err)
	}
	proven := m.Snapshot().List(listOf(hello))
	older(t, m)
	socket, _ := m.Serve(t)
	x := m.Begin(t, daemontest.Connect(t, socket), m.Message(t, []gendb.Small{small(t, "other")}, nil))
	synced := make(chan error, 1)
	go func() {
		_, err := m.Reconciler.Run(t.Context(), reconcile.ReasonAsked, daemontest.Quiet)
		synced <- err
	}()
	daemontest.Await(t, "its header is verified again", func() bool {
		e := m.Snapshot().List(listOf(hello))
		return e.Rules == proven.Rules && e.Signature != nil && *e.Signature == *proven.Signature
	})
	x.Finish(t)
	if err := <-synced; err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(list); err != nil || !os.SameFile(before, after) {
		t.Errorf("the list is another file: %v", err)
	}
	m.Stop()
	m.Start(t)
	if e := m.Snapshot().List(listOf(hello)); e == nil || e.Rules != proven.Rules {
		t.Errorf("after a restart it is %+v", e)
	}
}

// TestClockSetBack: a clock that is behind keeps no list out that was active at its time.
func TestClockSetBack(t *testing.T) {
	m := daemontest.New(t, signed)
	hello := daemontest.Package(t, "hello", "vendor", map[string]string{"/usr/bin/hello": "one"})
	m.Install(t, hello)
	m.Import(t, hello.Key)
	m.Sync(t)
	older(t, m)
	m.Stop()
	m.Clock = func() time.Time { return time.Unix(1e9, 0) } // 2001, before it was signed
	m.Start(t)
	m.Sync(t)
	if e := m.Snapshot().List(listOf(hello)); e == nil || e.State != record.Active || len(m.Names(t)) != 1 {
		t.Errorf("it is %+v", e)
	}
}
