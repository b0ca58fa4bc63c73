// SPDX-License-Identifier: Apache-2.0

package reconcile_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/reconcile"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/integration/bench/gendb"
	"github.com/digestd/digestd/rpmdb"
)

// small is a package of one file, of which nobody asks for a signature.
func small(t *testing.T, name string) gendb.Small {
	return daemontest.Package(t, name, "", map[string]string{"/usr/bin/" + name: name})
}

func listOf(p gendb.Small) string { return "tlv-" + p.NEVRA.Name + "-0:1-1.noarch" }

// TestComparisonWaitsForTransaction: what a transaction in flight has changed so far is
// not compared with anything, however the transaction ends.
func TestComparisonWaitsForTransaction(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(x *daemontest.Transaction)
	}{
		{"ended", func(x *daemontest.Transaction) { x.Finish(t) }},
		{"abandoned", func(x *daemontest.Transaction) { x.Close() }},
	} {
		m := daemontest.New(t)
		socket, _ := m.Serve(t)
		hello, other := small(t, "hello"), small(t, "other")
		x := m.Begin(t, daemontest.Connect(t, socket), m.Message(t, []gendb.Small{hello}, nil))
		m.Install(t, other)
		waiting := make(chan struct{}, 8)
		synced := make(chan error, 1)
		go func() {
			_, err := m.Reconciler.Run(t.Context(), reconcile.ReasonAsked, func(stage string, _, _ int) {
				if stage == reconcile.StageWaiting {
					waiting <- struct{}{}
				}
			})
			synced <- err
		}()
		<-waiting
		x.Put(t, hello)
		if got := m.Names(t); !slices.Equal(got, []string{listOf(hello)}) {
			t.Errorf("%s: amid the transaction the lists are %v", test.name, got)
		}
		test.end(x)
		if err := <-synced; err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if got := m.Names(t); !slices.Equal(got, []string{listOf(hello), listOf(other)}) {
			t.Errorf("%s: the lists are %v", test.name, got)
		}
	}
}

// TestComparisonGivesUp: who asked for a comparison and goes meanwhile ends it.
func TestComparisonGivesUp(t *testing.T) {
	m := daemontest.New(t)
	socket, _ := m.Serve(t)
	m.Begin(t, daemontest.Connect(t, socket), m.Message(t, nil, nil))
	ctx, cancel := context.WithCancel(t.Context())
	_, err := m.Reconciler.Run(ctx, reconcile.ReasonAsked, func(stage string, _, _ int) {
		if stage == reconcile.StageWaiting {
			cancel()
		}
	})
	if err == nil || !strings.Contains(err.Error(), "a package transaction is in flight") {
		t.Errorf("it ended with %v", err)
	}
}

// TestComparisonCutShort: a comparison that ends because its caller no longer waits says nothing
// about the database. It is no problem, for nothing would solve that, and is made later.
func TestComparisonCutShort(t *testing.T) {
	m := daemontest.New(t)
	m.Install(t, small(t, "hello"))
	m.Sync(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Reconciler.Run(gone, "while another one was made", daemontest.Quiet); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	if p := m.Problem("sync"); p.Text != "" {
		t.Errorf("not begun, it left %+v", p)
	}
	if reason, wanted := m.Wants(); !wanted || reason != "while another one was made" {
		t.Errorf("not begun, a comparison is wanted: %v (%q)", wanted, reason)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := m.Reconciler.Run(ctx, "in the middle", func(string, int, int) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("in the middle, it ended with %v", err)
	}
	if p := m.Problem("sync"); p.Text != "" {
		t.Errorf("in the middle, it left %+v", p)
	}
	if reason, wanted := m.Wants(); !wanted || reason != "in the middle" {
		t.Errorf("a comparison is wanted: %v (%q)", wanted, reason)
	}
}

// TestFailedComparison: status says what keeps lists from being compared and what can be
// done, until they are.
func TestFailedComparison(t *testing.T) {
	database := func(m *daemontest.Machine) string { return m.Path(m.Config.DBPath + "/rpmdb.sqlite") }
	away := func(path string) error { return os.Rename(path, path+".away") }
	back := func(path string) error {
		return errors.Join(os.RemoveAll(path), os.Rename(path+".away", path))
	}
	for _, test := range []struct {
		name         string
		hurt, mend   func(m *daemontest.Machine) error
		text, advice string
	}{
		{
			"no list directory",
			func(m *daemontest.Machine) error { return away(m.Config.Lists) }, func(m *daemontest.Machine) error { return back(m.Config.Lists) },
			"could not compare the lists", "digestctl sync",
		},
		{
			"another list directory",
			func(m *daemontest.Machine) error {
				return errors.Join(away(m.Config.Lists), os.Mkdir(m.Config.Lists, 0o755))
			},
			func(m *daemontest.Machine) error { return back(m.Config.Lists) },
			"could not compare the lists", "digestctl sync",
		},
		{
			"a database of old",
			func(m *daemontest.Machine) error {
				return errors.Join(away(database(m)), os.WriteFile(m.Path(m.Config.DBPath+"/Packages"), []byte("x"), 0o644))
			},
			func(m *daemontest.Machine) error {
				return errors.Join(os.Remove(m.Path(m.Config.DBPath+"/Packages")), back(database(m)))
			},
			rpmdb.ErrBerkeleyDB.Error(), rpmdb.BerkeleyAdvice(""),
		},
		{
			"no database", // though there were packages
			func(m *daemontest.Machine) error { return away(m.Path(m.Config.DBPath)) }, func(m *daemontest.Machine) error { return back(m.Path(m.Config.DBPath)) },
			"could not compare the lists", "digestctl sync",
		},
		{
			"a database that is damaged",
			func(m *daemontest.Machine) error {
				return errors.Join(away(database(m)), os.WriteFile(database(m), []byte("nonsense"), 0o644))
			},
			func(m *daemontest.Machine) error { return back(database(m)) },
			"could not compare the lists", "digestctl sync",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := daemontest.New(t)
			hello := small(t, "hello")
			m.Install(t, hello)
			m.Sync(t)
			if err := test.hurt(m); err != nil {
				t.Fatal(err)
			}
			if _, err := m.Reconciler.Run(t.Context(), reconcile.ReasonAsked, daemontest.Quiet); err == nil {
				t.Fatal("it succeeded")
			}
			p := m.Problem("sync")
			if p.Severity != api.SeverityError || !strings.Contains(p.Text, test.text) || !strings.Contains(p.Advice, test.advice) {
				t.Errorf("status says %+v, want %q and %q", p, test.text, test.advice)
			}
			if err := test.mend(m); err != nil {
				t.Fatal(err)
			}
			m.Sync(t)
			if p := m.Problem("sync"); p.Text != "" {
				t.Errorf("afterwards status says %+v", p)
			}
			if got := m.Names(t); !slices.Equal(got, []string{listOf(hello)}) {
				t.Errorf("the lists are %v", got)
			}
		})
	}
}

// TestWishes: a comparison that somebody wanted is made, and the service manager is told.
func TestWishes(t *testing.T) {
	m := daemontest.New(t)
	var told atomic.Int32
	m.Reconciler.Tell = func() { told.Add(1) }
	daemontest.Loop(t, m.Reconciler.SyncLoop)
	hello := small(t, "hello")
	m.Install(t, hello)
	m.WantSync("test")
	daemontest.Await(t, "the comparison is made", func() bool { return slices.Equal(m.Names(t), []string{listOf(hello)}) })
	daemontest.Await(t, "the service manager is told", func() bool { return told.Load() == 1 })
	// One that fails ends no loop.
	if err := os.Rename(m.Config.Lists, m.Config.Lists+".away"); err != nil {
		t.Fatal(err)
	}
	m.WantSync("test")
	daemontest.Await(t, "status tells of it", func() bool { return m.Problem("sync").Text != "" })
	if err := os.Rename(m.Config.Lists+".away", m.Config.Lists); err != nil {
		t.Fatal(err)
	}
	m.WantSync("test")
	daemontest.Await(t, "status tells of it no more", func() bool { return m.Problem("sync").Text == "" })
}

// TestSoon: who waits for a comparison has it when it is made; where it cannot be made
// now, it is wanted later.
func TestSoon(t *testing.T) {
	m := daemontest.New(t)
	hello := small(t, "hello")
	m.Install(t, hello)
	m.Reconciler.Soon(t.Context(), "test")
	if _, wanted := m.Wants(); wanted || !slices.Equal(m.Names(t), []string{listOf(hello)}) {
		t.Errorf("the lists are %v, another comparison is wanted: %v", m.Names(t), wanted)
	}
	socket, _ := m.Serve(t)
	x := m.Begin(t, daemontest.Connect(t, socket), m.Message(t, nil, nil))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	m.Reconciler.Soon(ctx, "test")
	if reason, wanted := m.Wants(); !wanted || reason != "test" {
		t.Errorf("a comparison is wanted: %v (%q)", wanted, reason)
	}
	x.Finish(t)
}

// TestDirectoryIsChecked: what another program did to the list directory is told, set
// aside and made good; what was published stays.
func TestDirectoryIsChecked(t *testing.T) {
	hello, other := small(t, "hello"), small(t, "other")
	for _, test := range []struct {
		name       string
		hurt       func(dir string) error
		by         map[string]bool // the names that are looked at; nil is all
		tampered   string          // the name in the log
		quarantine bool
		anew       bool // a comparison is wanted
	}{
		{"removed", func(dir string) error { return os.Remove(filepath.Join(dir, listOf(hello))) }, nil, listOf(hello), false, true},
		{"removed, and named", func(dir string) error { return os.Remove(filepath.Join(dir, listOf(hello))) }, map[string]bool{listOf(hello): true}, listOf(hello), false, true},
		{"altered", func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, listOf(hello))), os.WriteFile(filepath.Join(dir, listOf(hello)), []byte("x"), 0o644))
		}, nil, listOf(hello), true, true},
		{"a stranger's", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "tlv-evil-0:1-1.noarch"), []byte("x"), 0o644)
		}, nil, "tlv-evil-0:1-1.noarch", true, false},
		{"a stranger's, named", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "tlv-evil-0:1-1.noarch"), []byte("x"), 0o644)
		},
			map[string]bool{"tlv-evil-0:1-1.noarch": true}, "tlv-evil-0:1-1.noarch", true, false},
		{"a link", func(dir string) error { return os.Symlink("/etc/passwd", filepath.Join(dir, "tlv-evil-0:1-1.noarch")) }, nil, "tlv-evil-0:1-1.noarch", true, false},
		{"nothing", func(string) error { return nil }, nil, "", false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := daemontest.New(t)
			m.Install(t, hello, other)
			m.Sync(t)
			if err := test.hurt(m.Config.Lists); err != nil {
				t.Fatal(err)
			}
			m.Reconciler.CheckDirectory(t.Context(), test.by)
			events := m.Events(t, "tampered")
			if (test.tampered == "") != (len(events) == 0) || len(events) > 0 && (len(events) != 1 || events[0].List != test.tampered) {
				t.Errorf("the log has %+v, want one of %q", events, test.tampered)
			}
			aside, _ := os.ReadDir(m.Config.Lists + ".quarantine")
			if (len(aside) > 0) != test.quarantine {
				t.Errorf("set aside: %v", aside)
			}
			if reason, wanted := m.Wants(); wanted != test.anew {
				t.Errorf("a comparison is wanted: %v (%s)", wanted, reason)
			}
			if slices.Contains(m.Names(t), "tlv-evil-0:1-1.noarch") || !slices.Contains(m.Names(t), listOf(other)) {
				t.Errorf("the lists are %v", m.Names(t))
			}
			m.Sync(t)
			if got := m.Names(t); !slices.Equal(got, []string{listOf(hello), listOf(other)}) {
				t.Errorf("compared, the lists are %v", got)
			}
		})
	}
}

// TestOwnListComesBack: an own list that is gone is made again from the body that is kept.
func TestOwnListComesBack(t *testing.T) {
	m := daemontest.New(t)
	body := daemontest.OwnBody(t, "one")
	id, err := m.OwnAppend(t.Context(), daemontest.Root, 0, body)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.OwnPublish(t.Context(), daemontest.Root, api.OwnRequest{Name: "mine", Upload: id}, daemontest.Quiet); err != nil {
		t.Fatal(err)
	}
	names := m.Names(t)
	if len(names) != 1 {
		t.Fatalf("the lists are %v", names)
	}
	path := filepath.Join(m.Config.Lists, names[0])
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	m.Sync(t)
	data, err := os.ReadFile(path)
	if got, _, _, serr := digestlist.SplitSignature(data); err != nil || serr != nil || string(got) != string(body) {
		t.Errorf("the lists are %v; its body is %q, want %q; %v, %v", m.Names(t), got, body, err, serr)
	}
	// From a body that is another than was recorded nothing is made.
	bodies, err := filepath.Glob(filepath.Join(m.Config.State, "own", "*"))
	if err != nil || len(bodies) != 1 {
		t.Fatal(bodies, err)
	}
	if err := errors.Join(os.Remove(path), os.WriteFile(bodies[0], daemontest.OwnBody(t, "two"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if r := m.Sync(t); r.Failed != 1 || len(m.Names(t)) != 0 {
		t.Errorf("%+v; the lists are %v", r, m.Names(t))
	}
}

// TestListsMove: lists get the names that an order gives them; those of before go.
func TestListsMove(t *testing.T) {
	m := daemontest.New(t, func(c *config.Config) { c.Labels = true })
	hello, other := small(t, "hello"), small(t, "other")
	m.Install(t, hello, other)
	m.File(t, "/usr/bin/hello", "hello")
	m.Sync(t)
	if _, err := m.OrderSet(t.Context(), daemontest.Root, [][]byte{[]byte(filepath.Join(m.Config.Lists, listOf(hello)))}, "test"); err != nil {
		t.Fatal(err)
	}
	m.Sync(t)
	names := m.Names(t)
	if len(names) != 2 || !strings.HasSuffix(names[0], "-"+listOf(hello)) || names[1] != listOf(other) {
		t.Errorf("ordered, the lists are %v", names)
	}
	for _, e := range m.Snapshot().Entries {
		if !slices.Contains(names, e.Name) {
			t.Errorf("the entry of %s is left", e.Name)
		}
	}
	if err := m.OrderClear(t.Context(), daemontest.Root, "test"); err != nil {
		t.Fatal(err)
	}
	m.Sync(t)
	if got := m.Names(t); !slices.Equal(got, []string{listOf(hello), listOf(other)}) {
		t.Errorf("the lists are %v", got)
	}
}
