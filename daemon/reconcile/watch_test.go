// SPDX-License-Identifier: Apache-2.0

package reconcile_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/digestd/digestd/daemon/daemontest"
)

// watched is a machine whose disk is watched.
func watched(t *testing.T) *daemontest.Machine {
	t.Helper()
	m := daemontest.New(t)
	daemontest.Loop(t, m.Reconciler.Watch(t.Context()).Run)
	return m
}

// TestStateDirectoryIsWatched: an index that was moved away is written anew, each time.
func TestStateDirectoryIsWatched(t *testing.T) {
	m := watched(t)
	index := filepath.Join(m.Config.State, "index.db")
	for range 2 {
		if err := os.Rename(m.Config.State, m.Path("state-of-before")); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(m.Config.State, 0o700); err != nil {
			t.Fatal(err)
		}
		daemontest.Await(t, "the index is back", func() bool {
			_, err := os.Stat(index)
			return err == nil
		})
		if err := os.RemoveAll(m.Path("state-of-before")); err != nil {
			t.Fatal(err)
		}
	}
}
