// SPDX-License-Identifier: Apache-2.0

package daemontest

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/integration/pkgtest"
)

// Loop runs a loop of a room until the test ends or stop is called, and fails the test if
// the loop returns an error.
func Loop(t testing.TB, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("a loop ended: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// Await fails the test if something is not done within some time.
func Await(t testing.TB, what string, done func() bool) {
	t.Helper()
	if !pkgtest.Await(done) {
		t.Fatalf("%s: not within the time", what)
	}
}

// Problem returns the problem of status that has this ID; its text is "" if there is none.
func (m *Machine) Problem(id string) api.Problem {
	problems := m.Snapshot().Problems
	if i := slices.IndexFunc(problems, func(p api.Problem) bool { return p.ID == id }); i >= 0 {
		return problems[i]
	}
	return api.Problem{}
}

// Wants reports whether a comparison is wanted, and takes that wish.
func (m *Machine) Wants() (reason string, wanted bool) {
	select {
	case reason = <-m.Wanted:
		return reason, true
	default:
		return "", false
	}
}

// StopCommits lets no commit of the index be written until let is called.
func (m *Machine) StopCommits(t testing.TB) (let func()) {
	t.Helper()
	obstacle := filepath.Join(m.Config.State, "index.commit.new")
	if err := os.Mkdir(obstacle, 0o700); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := os.Remove(obstacle); err != nil {
			t.Fatal(err)
		}
	}
}
