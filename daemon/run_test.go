// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store"
	"golang.org/x/sys/unix"
)

// TestRun: a daemon tells the service manager of its life, is on the bus once it can answer,
// takes a changed configuration over, and ends when it is asked to.
func TestRun(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	c := testConfig(t)
	c.AuditTrail = "none"
	said := make(chan string, 1000)
	d, err := New(c, slog.New(slog.DiscardHandler), func(states ...string) {
		select {
		case said <- strings.Join(states, "\n"):
		default: // the test has ended, or failed
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if !d.KeyInFile() {
		t.Error("the key of a new machine is not in its state directory")
	}
	hook, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: filepath.Join(c.Root, "hook")})
	if err != nil {
		t.Fatal(err)
	}
	reload := make(chan os.Signal)
	changed := c
	changed.Unsigned = "withhold"
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended, asked := make(chan error, 1), make(chan struct{})
	go func() {
		ended <- d.Run(ctx, Surroundings{Hook: hook, Reload: reload, Config: func() (config.Config, error) { return changed, nil },
			Bus: func(context.Context) error { close(asked); return errors.New("there is no bus") }})
	}()
	await := func(want string) {
		t.Helper()
		for end := time.After(time.Minute); ; {
			select {
			case s := <-said:
				if slices.Contains(strings.Split(s, "\n"), want) {
					return
				}
			case err := <-ended:
				t.Fatalf("it ended before %s: %v", want, err)
			case <-end:
				t.Fatalf("nobody is told %s", want)
			}
		}
	}
	await("READY=1")
	select {
	case <-asked:
	default:
		t.Error("it is ready, and was never put on the bus")
	}
	await("WATCHDOG=1")
	reload <- unix.SIGHUP
	await("RELOADING=1")
	await("READY=1")
	if d.Builder.Load().Unsigned != policy.UnsignedWithhold {
		t.Error("a reload does not take a changed configuration over")
	}
	if conn, err := net.Dial("unix", hook.Addr().String()); err != nil {
		t.Error(err)
	} else {
		conn.Close()
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("asked to end, it failed: %v", err)
	}
}

// TestReconcileOnce: a comparison without serving anybody ends with what it did.
func TestReconcileOnce(t *testing.T) {
	d, err := New(testConfig(t), slog.New(slog.DiscardHandler), func(...string) {})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if result, err := d.Reconcile(t.Context()); err != nil || result.Installed != 0 {
		t.Errorf("a root without packages: %+v, %v", result, err)
	}
	select {
	case <-d.Exec.Closed:
	case <-time.After(time.Minute):
		t.Error("it goes on serving")
	}
}

func TestTemporary(t *testing.T) {
	for err, want := range map[error]bool{
		store.ErrUnavailable: true, unix.EMFILE: true, unix.EIO: true, unix.ENOSPC: true, unix.EROFS: true, unix.EACCES: false, errors.New("damaged"): false,
	} {
		if got := Temporary(fmt.Errorf("cannot open the index: %w", err)); got != want {
			t.Errorf("%v passes by itself: %v", err, got)
		}
	}
	c := testConfig(t)
	s := StandbyStatus(c, errors.New("the index is locked"), time.Unix(1, 0))
	if !s.Waiting || s.ListDirectory != c.Lists || len(s.Problems) != 1 || !strings.Contains(s.Problems[0].Text, "the index is locked") || s.Problems[0].Advice == "" {
		t.Errorf("standby says %+v", s)
	}
}

// TestOwnFilesOfALostIndex: bodies that no index knows any more are found by their names.
func TestOwnFilesOfALostIndex(t *testing.T) {
	state := t.TempDir()
	if err := os.Mkdir(filepath.Join(state, ledger.OwnDir), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"site.3", "my.site.12", "theirs.4.imported", "nonsense", ".5", "site.-1"} {
		if err := os.WriteFile(filepath.Join(state, ledger.OwnDir, name), []byte("no list"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, err := ownFiles(state, nil, true)
	var names []string
	for _, f := range found {
		names = append(names, fmt.Sprint(f.Name, " ", f.Version))
		if f.Err == nil {
			t.Errorf("%s is read as a list", f.Path)
		}
	}
	if slices.Sort(names); err != nil || !slices.Equal(names, []string{"my.site 12", "site 3"}) {
		t.Errorf("found %q, %v", names, err)
	}
	if found, err = ownFiles(state, nil, false); err != nil || len(found) > 0 {
		t.Errorf("what a crash left is taken for lists: %v, %v", found, err)
	}
	if left, err := os.ReadDir(filepath.Join(state, ledger.OwnDir)); err != nil || len(left) > 0 {
		t.Errorf("what a crash left is there: %v, %v", left, err)
	}
}
