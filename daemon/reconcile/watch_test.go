// SPDX-License-Identifier: Apache-2.0

package reconcile_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/reconcile"
	"github.com/digestd/digestd/integration/bench/gendb"
)

// watched is a machine whose disk is watched.
func watched(t *testing.T) *daemontest.Machine {
	t.Helper()
	m := daemontest.New(t)
	m.Sync(t)
	daemontest.Loop(t, m.Reconciler.Watch(t.Context()).Run)
	return m
}

// awaitWish waits for a comparison to be wanted for that reason.
func awaitWish(t *testing.T, m *daemontest.Machine, reason string) {
	t.Helper()
	daemontest.Await(t, "a comparison is wanted: "+reason, func() bool {
		got, _ := m.Wants()
		return got == reason
	})
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

// TestMissingStateDirectory: status tells that it is gone, until it is back.
func TestMissingStateDirectory(t *testing.T) {
	t.Parallel() // what comes back is found after some seconds
	m := watched(t)
	if err := os.Rename(m.Config.State, m.Path("state")); err != nil {
		t.Fatal(err)
	}
	daemontest.Await(t, "status tells of it", func() bool { return m.Problem("state").Text != "" })
	if err := os.Rename(m.Path("state"), m.Config.State); err != nil {
		t.Fatal(err)
	}
	daemontest.Await(t, "status tells of it no more", func() bool { return m.Problem("state").Text == "" })
}

// TestChangesAreNoticed: what others change on disk is noticed without anybody's word.
func TestChangesAreNoticed(t *testing.T) {
	m := watched(t)
	hello := small(t, "hello")
	m.Install(t, hello)
	awaitWish(t, m, "rpm's database changed")
	m.Sync(t)
	for _, dir := range []string{m.Config.Keys, m.Config.Revoked, m.Config.Blacklist} {
		if err := os.WriteFile(filepath.Join(dir, "new"), []byte("# nothing\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		awaitWish(t, m, "trusted certificates changed")
	}
	evil := filepath.Join(m.Config.Lists, "tlv-evil-0:1-1.noarch")
	if err := os.WriteFile(evil, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	daemontest.Await(t, "a stranger's file is set aside", func() bool { return slices.Equal(m.Names(t), []string{listOf(hello)}) })
	if err := os.Remove(filepath.Join(m.Config.Lists, listOf(hello))); err != nil {
		t.Fatal(err)
	}
	awaitWish(t, m, "lists were removed or altered")
	m.Sync(t)
	if got := m.Names(t); !slices.Equal(got, []string{listOf(hello)}) {
		t.Errorf("the lists are %v", got)
	}
}

// TestKeyIsRevokedWhileAComparisonWaits: the lists of a key leave as soon as a file revokes the
// key, also while a comparison waits for a transaction to end.
func TestKeyIsRevokedWhileAComparisonWaits(t *testing.T) {
	m := watched(t)
	daemontest.Loop(t, m.Reconciler.SyncLoop)
	key := daemontest.Key(t, "vendor")
	m.Import(t, key)
	hello := daemontest.Package(t, "hello", "vendor", map[string]string{"/usr/bin/hello": "hello"})
	m.Install(t, hello)
	m.Sync(t)
	if got := m.Names(t); !slices.Equal(got, []string{listOf(hello)}) {
		t.Fatalf("the lists are %v", got)
	}
	socket, _ := m.Serve(t)
	x := m.Begin(t, daemontest.Connect(t, socket), m.Message(t, nil, nil))
	waiting := make(chan struct{}, 8)
	go m.Reconciler.Run(t.Context(), reconcile.ReasonAsked, func(stage string, _, _ int) {
		if stage == reconcile.StageWaiting {
			waiting <- struct{}{}
		}
	})
	<-waiting
	if err := os.WriteFile(filepath.Join(m.Config.Revoked, "stolen"), []byte(key.Fingerprint()+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	daemontest.Await(t, "its lists are gone", func() bool { return len(m.Names(t)) == 0 })
	x.Finish(t)
}

// TestOwnChangesAreNone: what digestd itself does on disk, and who only reads, starts no
// comparison.
func TestOwnChangesAreNone(t *testing.T) {
	m := watched(t)
	m.Install(t, small(t, "hello"))
	awaitWish(t, m, "rpm's database changed")
	m.Sync(t)
	m.Commit(t)
	if _, err := os.ReadFile(m.Path(m.Config.DBPath + "/rpmdb.sqlite")); err != nil {
		t.Fatal(err)
	}
	m.Reconciler.LookAgain()
	time.Sleep(time.Second) // longer than any pause after which changes are looked at
	if reason, wanted := m.Wants(); wanted {
		t.Errorf("a comparison is wanted: %s", reason)
	}
}

// TestDatabaseAmidTransaction: the database is not watched while rpm writes to it, and
// again after that; a change that no transaction told of is noticed then.
func TestDatabaseAmidTransaction(t *testing.T) {
	m := watched(t)
	socket, _ := m.Serve(t)
	hello, hidden := small(t, "hello"), small(t, "hidden")
	x := m.Begin(t, daemontest.Connect(t, socket), m.Message(t, []gendb.Small{hello}, nil))
	x.Put(t, hello)
	m.Install(t, hidden)
	time.Sleep(time.Second)
	if reason, wanted := m.Wants(); wanted {
		t.Errorf("amid the transaction a comparison is wanted: %s", reason)
	}
	x.Finish(t)
	awaitWish(t, m, "rpm's database changed")
	m.Sync(t)
	if got := m.Names(t); !slices.Equal(got, []string{listOf(hello), listOf(hidden)}) {
		t.Errorf("the lists are %v", got)
	}
	m.Erase(t, hidden)
	awaitWish(t, m, "rpm's database changed")
}

// TestWithoutInotify: changes are looked for where the kernel tells of none, which status
// says, and watched again as soon as that can be.
func TestWithoutInotify(t *testing.T) {
	m := daemontest.New(t)
	hello := small(t, "hello")
	m.Install(t, hello)
	m.Sync(t)
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	w := m.Reconciler.Watch(t.Context())
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	if text := m.Problem("watch").Text; !strings.Contains(text, "inotify") || !strings.Contains(text, "5s") {
		t.Errorf("status says %q", text)
	}
	m.Install(t, small(t, "other"))
	err := errors.Join(os.WriteFile(filepath.Join(m.Config.Lists, "tlv-evil-0:1-1.noarch"), []byte("x"), 0o644),
		os.Chtimes(m.Config.Keys, time.Now(), time.Now().Add(time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	daemontest.Loop(t, w.Run)
	daemontest.Await(t, "it is watched again", func() bool { return m.Problem("watch").Text == "" })
	awaitWish(t, m, "rpm's database changed")
	daemontest.Await(t, "a stranger's file is set aside", func() bool { return slices.Equal(m.Names(t), []string{listOf(hello)}) })
	m.Sync(t)
	m.Install(t, small(t, "third"))
	awaitWish(t, m, "rpm's database changed")
}
