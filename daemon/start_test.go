// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/identity"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/store/record"
)

// TestStartFails: a daemon that cannot start says why, and leaves nothing taken: as soon as the
// cause is gone, the next one starts.
func TestStartFails(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(t *testing.T, c *config.Config) (mend func())
		says  string
	}{
		"no root": {func(t *testing.T, c *config.Config) func() {
			root := c.Root
			c.Root = filepath.Join(root, "none")
			return func() { c.Root = root }
		}, "none"},
		"a file for the list directory": {func(t *testing.T, c *config.Config) func() {
			write(t, c.Lists, "")
			return func() { os.Remove(c.Lists) }
		}, "lists"},
		"a file for the state directory": {func(t *testing.T, c *config.Config) func() {
			write(t, c.State, "")
			return func() { os.Remove(c.State) }
		}, "state"},
		"a mode that is none": {func(t *testing.T, c *config.Config) func() {
			c.Mode = "sometimes"
			return func() { c.Mode = config.Default().Mode }
		}, "sometimes"},
		"a rule for unsigned packages that is none": {func(t *testing.T, c *config.Config) func() {
			c.Unsigned = "sometimes"
			return func() { c.Unsigned = "allow" }
		}, "sometimes"},
		"a damaged key": {func(t *testing.T, c *config.Config) func() {
			start(t, *c).Close()
			path := filepath.Join(c.State, identity.KeyFile)
			key, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			write(t, path, "no key")
			return func() { write(t, path, string(key)) }
		}, identity.KeyFile},
	} {
		t.Run(name, func(t *testing.T) {
			c := testConfig(t)
			mend := test.spoil(t, &c)
			d, err := New(c, slog.New(slog.DiscardHandler), func(...string) {})
			if err == nil {
				d.Close()
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("%q does not name %s", err, test.says)
			}
			mend()
			start(t, c).Close()
		})
	}
}

func start(t *testing.T, c config.Config) *Daemon {
	t.Helper()
	d, err := New(c, slog.New(slog.DiscardHandler), func(...string) {})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestNewSigning: a daemon that signs with the key of another place makes none of its own.
func TestNewSigning(t *testing.T) {
	loaded, err := identity.Files{Dir: t.TempDir()}.Load(t.Context(), slog.New(slog.DiscardHandler), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c := testConfig(t)
	d, err := NewSigning(c, slog.New(slog.DiscardHandler), identity.Fixed{Identity: loaded.Identity})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if d.Builder.Load().Identity != loaded.Identity || !slices.ContainsFunc(d.Exec.State.Certificates, loaded.Identity.Cert.Equal) {
		t.Error("another key signs lists")
	}
	if _, err := os.Stat(filepath.Join(c.State, identity.KeyFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a key in its state directory: %v", err)
	}
}

// TestRunWithoutDatabase: a daemon that cannot read rpm's database is ready, and says what is
// wrong.
func TestRunWithoutDatabase(t *testing.T) {
	c := testConfig(t)
	c.AuditTrail, c.DBPath = "none", "/rpm"
	if err := os.Mkdir(filepath.Join(c.Root, "rpm"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(c.Root, "rpm", "rpmdb.sqlite"), strings.Repeat("no database ", 1000))
	ready := make(chan string, 100)
	d, err := New(c, slog.New(slog.DiscardHandler), func(states ...string) {
		if slices.Contains(states, "READY=1") {
			ready <- strings.Join(states, " ")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	hook := listenAt(t, filepath.Join(c.Root, "hook"))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- d.Run(ctx, Surroundings{Hook: hook, Bus: func(context.Context) error { return nil }})
	}()
	select {
	case said := <-ready:
		if !strings.Contains(said, "problems") {
			t.Errorf("the service manager is told %q", said)
		}
	case err := <-ended:
		t.Fatalf("it ended: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("it is never ready")
	}
	if !slices.ContainsFunc(d.Snapshot().Problems, func(p api.Problem) bool {
		return p.Severity == api.SeverityError && strings.Contains(p.Text, "database")
	}) {
		t.Errorf("problems are %+v", d.Snapshot().Problems)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("asked to end, it failed: %v", err)
	}
}

func listenAt(t *testing.T, path string) *net.UnixListener {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// TestRefuseMeanwhile: while a daemon cannot start, each package manager is told the cause of
// that moment; the daemon that starts then accepts at the same socket.
func TestRefuseMeanwhile(t *testing.T) {
	l := listenAt(t, filepath.Join(t.TempDir(), "hook"))
	causes := make(chan error, 2)
	causes <- errors.New("the index is locked")
	causes <- errors.New("the disk is away")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan struct{})
	refuse := func(patience time.Duration) {
		defer close(ended)
		RefuseMeanwhile(ctx, l, patience, func() error { return <-causes })
	}
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("unix", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	go refuse(0)
	for _, want := range []string{"the index is locked", "the disk is away"} {
		conn := wire.NewConn(dial())
		m, err := conn.Read(t.Context(), time.Minute, time.Minute)
		if e, is := m.(*wire.Error); err != nil || !is || e.Text != want {
			t.Errorf("told %+v, %v, want %s", m, err, want)
		}
		conn.Close()
	}
	stop()
	<-ended
	// A client that connects before the next daemon accepts waits for that one.
	c := dial()
	defer c.Close()
	ended = make(chan struct{})
	refuse(time.Hour)
	accepted, err := l.Accept()
	if err != nil {
		t.Fatalf("the next daemon cannot accept: %v", err)
	}
	accepted.Close()
	// A socket that is closed is refused at by nobody.
	ctx, stop = context.WithCancel(t.Context())
	defer stop()
	l.Close()
	ended = make(chan struct{})
	refuse(0)
}

// TestGuardDecisionsAreKept: what somebody did with the guard has happened: where it cannot be
// recorded at once, a later commit has it.
func TestGuardDecisionsAreKept(t *testing.T) {
	d := bare(t)
	let := d.stopCommits(t)
	d.recordGuard(t.Context(), record.Event{Kind: "guard", Reason: "first", UID: 1000})
	let()
	d.recordGuard(t.Context(), record.Event{Kind: "guard", Reason: "second"})
	events, err := d.Index.EventsAfter(0, state.MaxWaiting)
	if err != nil {
		t.Fatal(err)
	}
	var reasons []string
	for _, e := range events {
		if e.Kind == "guard" {
			reasons = append(reasons, e.Reason)
		}
	}
	if !slices.Equal(reasons, []string{"first", "second"}) {
		t.Errorf("the log has %q", reasons)
	}
}

// TestPackagesAnnounced: announcements hold nobody up, and one look follows them all.
func TestPackagesAnnounced(t *testing.T) {
	d := bare(t)
	for range 3 {
		d.PackagesAnnounced()
	}
	looks := 0
	for {
		select {
		case <-d.rooms.Reconciler.Rested:
			looks++
			continue
		default:
		}
		break
	}
	if looks != 1 {
		t.Errorf("the database is looked at %d times", looks)
	}
}
