// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/guardtest"
	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/kernel/guard"
)

// all is a kernel that lets run everything but some contents.
type all struct {
	*guardtest.Memory
	mu  sync.Mutex
	but []guard.Digest
}

func (a *all) set(but ...guard.Digest) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.but = but
}

func (a *all) Listed(digests []guard.Digest) ([]bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	listed := make([]bool, len(digests))
	for i, d := range digests {
		listed[i] = !slices.Contains(a.but, d)
	}
	return listed, nil
}

// needing serves a guard that waits for a check.
func needing(t *testing.T, kernel *all) (*checker, *protocol.Client) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "guard.sock")
	stop, err := guardtest.Serve(socket, kernel, protocol.Facts{Wanted: protocol.Change{Mode: "enforce"}, Most: guard.Enforce, Check: true}, &protocol.Log{}, os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop() })
	c, err := protocol.Dial(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	k := newChecker(socket, slog.New(slog.DiscardHandler))
	k.rest, k.redial = 10*time.Millisecond, 100*time.Millisecond
	return k, c
}

// until waits for a state of the guard.
func until(t *testing.T, c *protocol.Client, what string, is func(protocol.Status) bool) protocol.Status {
	t.Helper()
	var s protocol.Status
	for range 300 {
		var err error
		if s, err = c.Status(t.Context()); err != nil {
			t.Fatal(err)
		}
		if is(s) {
			return s
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("%s: it never was so: %+v, check %+v", what, s, s.Check)
	return s
}

// sleeper is a program of its own content that runs, as a user.
func sleeper(t *testing.T, uid string) guard.Digest {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "digestd-check-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	data = append(data, dir...)
	path := filepath.Join(dir, "sleeper")
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("setpriv", "--reuid", uid, "--clear-groups", path, "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for range 100 {
		if exe, _ := os.Readlink(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "exe")); exe == path {
			return sha256.Sum256(data)
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("it does not run")
	return guard.Digest{}
}

// TestChecker: what root runs and no list has keeps the guard from enforcing until a list has
// it; what a user runs does not.
func TestChecker(t *testing.T) {
	needs.Root(t)
	kernel := &all{Memory: guardtest.NewMemory()}
	roots, users := sleeper(t, "0"), sleeper(t, "65534")
	kernel.set(roots, users)
	k, c := needing(t, kernel)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- k.run(ctx) }()
	time.Sleep(50 * time.Millisecond)
	if s := until(t, c, "at the start", func(protocol.Status) bool { return true }); s.Check != nil {
		t.Errorf("checked before there is anything to check against: %+v", s.Check)
	}
	if err := c.SetCommit(ctx, 1); err != nil {
		t.Fatal(err)
	}
	s := until(t, c, "not listed", func(s protocol.Status) bool { return s.Check != nil })
	if s.Mode != "audit" || s.Check.Refused != 1 || len(s.Check.First) != 1 || !strings.HasSuffix(s.Check.First[0], "/sleeper") || s.Check.Looked < 10 {
		t.Errorf("mode %s, %+v", s.Mode, s.Check)
	}
	kernel.set(users)
	if err := c.SetCommit(ctx, 2); err != nil {
		t.Fatal(err)
	}
	until(t, c, "listed", func(s protocol.Status) bool { return s.Mode == "enforce" })
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it does not end, and nothing waits for it")
	}
	if err := k.run(ctx); err != nil {
		t.Errorf("where no check is needed: %v", err)
	}
}

// TestCheckerCannot: what cannot be looked at is not enforced, and is tried again.
func TestCheckerCannot(t *testing.T) {
	kernel := &all{Memory: guardtest.NewMemory()}
	k, c := needing(t, kernel)
	k.proc, k.again = filepath.Join(t.TempDir(), strings.Repeat("none", 50)), 10*time.Millisecond
	if err := c.SetCommit(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- k.run(ctx) }()
	s := until(t, c, "no processes", func(s protocol.Status) bool { return s.Check != nil })
	if s.Mode != "audit" || !strings.Contains(s.Why, "cannot list processes") {
		t.Errorf("%+v, %+v", s, s.Check)
	}
	time.Sleep(100 * time.Millisecond) // for another
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := k.run(ctx); err != nil {
		t.Errorf("nobody wants a check any more: %v", err)
	}
	k.socket += ".gone"
	begun := time.Now()
	if err := k.run(t.Context()); err != nil || time.Since(begun) < k.redial {
		t.Errorf("no guard is there: %v, after %v", err, time.Since(begun))
	}
}

// TestCheckerSlow: a check that a slow machine does not end in time says nothing of its files.
// It is made again soon, and with more time.
func TestCheckerSlow(t *testing.T) {
	k, c := needing(t, &all{Memory: guardtest.NewMemory()})
	k.rest, k.examine = time.Millisecond, time.Millisecond
	if err := c.SetCommit(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- k.run(ctx) }()
	until(t, c, "checked", func(s protocol.Status) bool { return s.Mode == "enforce" })
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if k.examine <= time.Millisecond {
		t.Error("it ended within a millisecond")
	}
}

func TestShort(t *testing.T) {
	for text, want := range map[string]string{
		"/bin/sh": "/bin/sh", "a\xff": "a\uFFFD", strings.Repeat("x", 501): strings.Repeat("x", 497) + "...",
		strings.Repeat("\u00e9", 400): strings.Repeat("\u00e9", 248) + "...",
	} {
		if got := short(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
