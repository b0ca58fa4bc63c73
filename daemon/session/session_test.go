// SPDX-License-Identifier: Apache-2.0

package session_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/integration/bench/gendb"
	"github.com/digestd/digestd/store/record"
)

func signed(c *config.Config) { c.Unsigned = "withhold" }

// small is a package of one file whose key nobody has to trust.
func small(t *testing.T, name string) gendb.Small {
	return daemontest.Package(t, name, "", map[string]string{"/usr/bin/" + name: name})
}

// version returns a package as another version of it.
func version(p gendb.Small, version string) gendb.Small {
	p.NEVRA.Version = version
	return p
}

func listOf(p gendb.Small) string {
	return fmt.Sprintf("tlv-%s-0:%s-1.noarch", p.NEVRA.Name, p.NEVRA.Version)
}

func all(packages ...gendb.Small) []gendb.Small { return packages }

// begun begins a transaction at a machine that serves package managers.
func begun(t *testing.T, m *daemontest.Machine, socket string, come, leave []gendb.Small) *daemontest.Transaction {
	t.Helper()
	return m.Begin(t, daemontest.Connect(t, socket), m.Message(t, come, leave))
}

func texts(notes []wire.Note) (all string) {
	for _, n := range notes {
		all += n.Text + "\n"
	}
	return all
}

// TestTransaction: a package has its list when the package manager has the answer, one
// that leaves has none once it is gone, and both are so after a restart.
func TestTransaction(t *testing.T) {
	m := daemontest.New(t)
	socket, stop := m.Serve(t)
	old, hello := small(t, "old"), small(t, "hello")
	x := begun(t, m, socket, all(old), nil)
	if x.Verdict.Decision != wire.Assured || len(x.Verdict.Notes) > 0 {
		t.Errorf("the verdict is %+v", x.Verdict)
	}
	if reply := x.Put(t, old); reply.Decision != wire.ListNamed || reply.Name != listOf(old) || len(reply.Notes) > 0 {
		t.Errorf("the answer is %+v", reply)
	}
	if got := m.Names(t); !slices.Equal(got, []string{listOf(old)}) {
		t.Errorf("amid the transaction the lists are %v", got)
	}
	if notes := x.Finish(t); len(notes) > 0 {
		t.Errorf("at the end somebody is told %v", notes)
	}
	x = begun(t, m, socket, all(hello), all(old))
	x.Put(t, hello)
	x.Drop(t, old)
	if notes := x.Finish(t); len(notes) > 0 {
		t.Errorf("at the end somebody is told %v", notes)
	}
	for _, when := range []string{"answered", "started anew"} {
		if got := m.Names(t); !slices.Equal(got, []string{listOf(hello)}) {
			t.Errorf("%s: the lists are %v", when, got)
		}
		if e := m.Snapshot().List(listOf(hello)); e == nil || e.State != record.Active {
			t.Errorf("%s: its entry is %+v", when, e)
		}
		if len(m.Snapshot().Entries) != 1 || m.Snapshot().Open != 0 {
			t.Errorf("%s: %d entries, %d transactions are open", when, len(m.Snapshot().Entries), m.Snapshot().Open)
		}
		stop()
		m.Stop()
		m.Start(t)
	}
}

// TestPackagesWithoutList: why a package has no list is said once, at the end, of a few.
func TestPackagesWithoutList(t *testing.T) {
	m := daemontest.New(t, signed)
	socket, _ := m.Serve(t)
	empty := daemontest.Package(t, "empty", "vendor", nil)
	m.Import(t, empty.Key)
	come := all(empty)
	for i := range 5 {
		come = append(come, daemontest.Package(t, fmt.Sprintf("stranger%d", i), "nobody", map[string]string{fmt.Sprintf("/usr/bin/s%d", i): "s"}))
	}
	x := begun(t, m, socket, come, nil)
	for _, p := range come {
		if reply := x.Put(t, p); reply.Decision != wire.NoList || reply.Name != "" || len(reply.Notes) > 0 {
			t.Errorf("%s: the answer is %+v", p.NEVRA, reply)
		}
	}
	notes := x.Finish(t)
	if len(notes) != 4 || !strings.Contains(notes[0].Text, "stranger0") || !strings.Contains(notes[3].Text, "and 2 more packages without a list") {
		t.Errorf("told %v", notes)
	}
	for _, n := range notes {
		if n.Level != wire.LevelWarning || strings.Contains(n.Text, "empty") {
			t.Errorf("told %+v", n)
		}
	}
	if names := m.Names(t); len(names) > 0 {
		t.Errorf("the lists are %v", names)
	}
}

// TestHeaders: whatever a header is, the package manager gets an answer, and goes on.
func TestHeaders(t *testing.T) {
	m := daemontest.New(t)
	socket, _ := m.Serve(t)
	here, key := small(t, "here"), small(t, "gpg-pubkey")
	m.Install(t, here)
	m.Sync(t)
	made, err := gendb.Make(here)
	if err != nil {
		t.Fatal(err)
	}
	keyMade, err := gendb.Make(key)
	if err != nil {
		t.Fatal(err)
	}
	x := begun(t, m, socket, all(here), nil)
	for _, test := range []struct {
		name     string
		header   wire.Header
		decision wire.ListDecision
		list     string
		note     string
	}{
		{"installed anew", wire.Header{Type: wire.Added, Region: made.Region}, wire.ListNamed, listOf(here), ""},
		{"mended", wire.Header{Type: wire.Restored, Region: made.Region}, wire.ListNamed, listOf(here), ""},
		{"a key", wire.Header{Type: wire.Added, Region: keyMade.Region}, wire.NoList, "", ""},
		{"no header", wire.Header{Type: wire.Added, Region: []byte("nonsense")}, wire.NoList, "", "cannot read header"},
		{"nothing", wire.Header{Type: wire.Added}, wire.NoList, "", "cannot read header"},
	} {
		reply, err := x.Header(t.Context(), &test.header)
		if err != nil || reply.Decision != test.decision || reply.Name != test.list || (test.note == "") != (len(reply.Notes) == 0) || !strings.Contains(texts(reply.Notes), test.note) {
			t.Errorf("%s: the answer is %+v, %v", test.name, reply, err)
		}
	}
	x.Finish(t)
	// A failure to read may have left wrong lists.
	if reason, wanted := m.Wants(); !wanted || reason != "list not published" {
		t.Errorf("a comparison is wanted: %v (%q)", wanted, reason)
	}
}

// TestKeyImportedAmidTransaction: a key that came after the transaction began vouches for
// the packages of this one.
func TestKeyImportedAmidTransaction(t *testing.T) {
	hello := daemontest.Package(t, "hello", "vendor", map[string]string{"/usr/bin/hello": "one"})
	for _, flags := range []uint32{wire.FlagTest, 0} {
		m := daemontest.New(t, signed)
		socket, _ := m.Serve(t)
		b := m.Message(t, all(hello), nil)
		b.Flags = flags
		x := m.Begin(t, daemontest.Connect(t, socket), b)
		m.Import(t, hello.Key)
		want := wire.ListNamed
		if flags != 0 {
			want = wire.NoList // for nothing is published
		}
		if reply := x.Announce(t, hello); reply.Decision != want || len(reply.Notes) > 0 {
			t.Errorf("flags %d: the answer is %+v", flags, reply)
		}
		if _, known := m.Snapshot().Keys[hello.Key.Fingerprint()]; !known {
			t.Errorf("flags %d: the key is not known", flags)
		}
		x.Finish(t)
	}
}

// TestFailedPackage: what did not get in leaves no list, and what it would have replaced
// keeps its own.
func TestFailedPackage(t *testing.T) {
	m := daemontest.New(t)
	socket, _ := m.Serve(t)
	hello, fresh := small(t, "hello"), small(t, "fresh")
	m.Install(t, hello)
	m.Sync(t)
	before, err := os.ReadFile(filepath.Join(m.Config.Lists, listOf(hello)))
	if err != nil {
		t.Fatal(err)
	}
	rebuilt := hello
	rebuilt.Build, rebuilt.Files = "again", map[string]string{"/usr/bin/hello": "other"}
	x := begun(t, m, socket, all(rebuilt, fresh), nil)
	for i, p := range all(rebuilt, fresh) {
		if reply := x.Announce(t, p); reply.Decision != wire.ListNamed {
			t.Errorf("%s: %+v", p.NEVRA, reply)
		}
		if err := x.Failed(&wire.Failed{Element: uint32(i), Result: 2}); err != nil {
			t.Fatal(err)
		}
	}
	x.Finish(t)
	after, err := os.ReadFile(filepath.Join(m.Config.Lists, listOf(hello)))
	if err != nil || string(after) != string(before) || !slices.Equal(m.Names(t), []string{listOf(hello)}) {
		t.Errorf("the lists are %v, %v, the one that was there is the same: %v", m.Names(t), err, string(after) == string(before))
	}
}

// TestRemovedWithoutRegion: a package of old, whose header has no digest, takes no list.
func TestRemovedWithoutRegion(t *testing.T) {
	m := daemontest.New(t)
	socket, _ := m.Serve(t)
	hello := small(t, "hello")
	m.Install(t, hello)
	m.Sync(t)
	x := begun(t, m, socket, nil, all(hello))
	for _, digest := range [][32]byte{{}, {1}} {
		if err := x.Removed(&wire.Removed{Digest: digest}); err != nil {
			t.Fatal(err)
		}
	}
	if notes := x.Finish(t); len(notes) > 0 || !slices.Equal(m.Names(t), []string{listOf(hello)}) {
		t.Errorf("told %v; the lists are %v", notes, m.Names(t))
	}
}

// TestImaSignatures: the answer has the signatures of files where they are asked for, and
// not where files are left alone.
func TestImaSignatures(t *testing.T) {
	m := daemontest.New(t, func(c *config.Config) { c.IMASignatures = true })
	socket, _ := m.Serve(t)
	hello := small(t, "hello")
	for _, test := range []struct {
		flags uint32
		want  int
	}{{wire.FlagJustDB, 0}, {0, 1}} {
		b := m.Message(t, all(hello), nil)
		b.Flags = test.flags
		x := m.Begin(t, daemontest.Connect(t, socket), b)
		if reply := x.Announce(t, hello); reply.Decision != wire.ListNamed || len(reply.Signatures) != test.want {
			t.Errorf("flags %d: %+v, want %d signatures", test.flags, reply, test.want)
		}
		x.Finish(t)
	}
}

// TestWithoutIndex: a package manager goes on where nothing can be recorded, no list
// appears, and what is left to do is done by a comparison.
func TestWithoutIndex(t *testing.T) {
	m := daemontest.New(t)
	socket, _ := m.Serve(t)
	hello := small(t, "hello")
	let := m.StopCommits(t)
	x := begun(t, m, socket, all(hello), nil)
	if x.Verdict.Decision != wire.Assured {
		t.Errorf("the verdict is %+v", x.Verdict)
	}
	if reply := x.Put(t, hello); reply.Decision != wire.NoList || len(reply.Notes) != 1 || reply.Notes[0].Level != wire.LevelWarning {
		t.Errorf("the answer is %+v", reply)
	}
	if names := m.Names(t); len(names) > 0 {
		t.Errorf("the lists are %v", names)
	}
	if notes := texts(x.Finish(t)); !strings.Contains(notes, "run: digestctl sync") {
		t.Errorf("told %q", notes)
	}
	if _, wanted := m.Wants(); !wanted {
		t.Error("no comparison is wanted")
	}
	let()
	m.Sync(t)
	if got := m.Names(t); !slices.Equal(got, []string{listOf(hello)}) {
		t.Errorf("the lists are %v", got)
	}
}
