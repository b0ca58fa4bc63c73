// SPDX-License-Identifier: Apache-2.0

package session_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/integration/needs"
)

// TestVerdicts: which transactions are followed, and which may not begin.
func TestVerdicts(t *testing.T) {
	m := daemontest.New(t)
	socket, _ := m.Serve(t)
	hello := version(small(t, "hello"), "2")
	m.Install(t, hello)
	m.Sync(t)
	for _, test := range []struct {
		name    string
		change  func(b *wire.Begin)
		want    wire.Decision
		note    string // of the verdict
		problem string // of status, afterwards
	}{
		{"another root", func(b *wire.Begin) { b.RootIno++ }, wire.NotManaged, "", ""},
		{"another root, in another file system", func(b *wire.Begin) { b.RootDev++ }, wire.NotManaged, "", ""},
		{"a root that the plugin cannot name", func(b *wire.Begin) { b.RootDev, b.RootIno = 0, 0 }, wire.NotManaged, "", ""},
		{"another database, tried", func(b *wire.Begin) { b.DBIno++; b.Flags = wire.FlagTest }, wire.NotManaged, "", ""},
		{"another database", func(b *wire.Begin) { b.DBIno++; b.DBPath = "/usr/lib/sysimage/rpm" }, wire.NotManaged, "", "wrote to /usr/lib/sysimage/rpm, but"},
		{"ours, tried", func(b *wire.Begin) { b.Flags = wire.FlagTest }, wire.Assured, "", "there are two rpm databases"},
		{"ours", func(*wire.Begin) {}, wire.Assured, "", ""},
		{"a database that is not there yet", func(b *wire.Begin) { b.DBDev, b.DBIno = 0, 0 }, wire.Assured, "", ""},
		{"an older version", func(b *wire.Begin) { b.Elements[0].NEVRA.Version = "1" }, wire.Refuse, "hello", ""},
		{"an older version, tried", func(b *wire.Begin) { b.Elements[0].NEVRA.Version = "1"; b.Flags = wire.FlagTest }, wire.Refuse, "hello", ""},
		{"what poses as a key", func(b *wire.Begin) { b.Elements[0].NEVRA.Name = "gpg-pubkey" }, wire.Refuse, "rpmkeys --import", ""},
	} {
		b := m.Message(t, all(hello), nil)
		test.change(b)
		c := daemontest.Connect(t, socket)
		x := m.Begin(t, c, b)
		if x.Verdict.Decision != test.want || (test.note == "") != (len(x.Verdict.Notes) == 0) || !strings.Contains(texts(x.Verdict.Notes), test.note) {
			t.Errorf("%s: the verdict is %+v, want %v with %q", test.name, x.Verdict, test.want, test.note)
		}
		if test.want == wire.Assured {
			x.Finish(t)
		} else if _, err := x.Client.End(t.Context(), &wire.End{}); err == nil {
			t.Errorf("%s: the daemon listens on", test.name)
		}
		if text := m.Problem("database").Text; (test.problem == "") != (text == "") || !strings.Contains(text, test.problem) {
			t.Errorf("%s: status says %q, want %q", test.name, text, test.problem)
		}
	}
	if kinds := kindsOf(t, m); !slices.Contains(kinds, "rollback-refused") {
		t.Errorf("the log has %v", kinds)
	}
	if got := m.Names(t); !slices.Equal(got, []string{listOf(hello)}) {
		t.Errorf("the lists are %v", got)
	}
}

// kindsOf are the kinds of the entries in the log, as they are on disk.
func kindsOf(t *testing.T, m *daemontest.Machine) (kinds []string) {
	t.Helper()
	for _, e := range m.Events(t) {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// TestRootBeforeItsDatabase: the first transaction of a root makes the database that is
// followed from then on.
func TestRootBeforeItsDatabase(t *testing.T) {
	m := daemontest.New(t, func(c *config.Config) { c.DBPath = "/var/lib/other" })
	socket, _ := m.Serve(t)
	if err := os.Remove(m.Path("/var/lib/other/rpmdb.sqlite")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(m.Path("/var/lib/other")); err != nil {
		t.Fatal(err)
	}
	b := m.Message(t, all(small(t, "first")), nil)
	b.DBDev, b.DBIno = 1, 1
	if x := m.Begin(t, daemontest.Connect(t, socket), b); x.Verdict.Decision != wire.Assured {
		t.Errorf("the verdict is %+v", x.Verdict)
	}
}

// TestRefusedPackage: a package that a revoked key signed is refused by its header; a
// transaction that is tried out or asked about learns that, and changes nothing. All but
// a test leave the refusal in the log.
func TestRefusedPackage(t *testing.T) {
	for _, test := range []struct {
		name  string
		flags uint32
		good  wire.ListDecision
		log   []string
	}{
		{"test", wire.FlagTest, wire.NoList, nil},
		{"check", wire.FlagCheck, wire.NoList, []string{"refused"}},
		{"transaction", 0, wire.ListNamed, []string{"refused"}},
	} {
		m := daemontest.New(t)
		socket, _ := m.Serve(t)
		bad := daemontest.Package(t, "bad", "vendor", map[string]string{"/usr/bin/bad": "bad"})
		good := small(t, "good")
		m.Import(t, bad.Key)
		m.Sync(t)
		m.Forget(t, bad.Key)
		m.Sync(t)
		before := kindsOf(t, m)
		b := m.Message(t, all(bad, good), nil)
		b.Flags = test.flags
		x := m.Begin(t, daemontest.Connect(t, socket), b)
		if x.Verdict.Decision != wire.Proceed {
			t.Fatalf("%s: the verdict is %+v", test.name, x.Verdict)
		}
		if reply := x.Announce(t, good); reply.Decision != test.good || len(reply.Notes) > 0 {
			t.Errorf("%s: a package that may come: %+v", test.name, reply)
		}
		if reply := x.Announce(t, bad); reply.Decision != wire.RefuseList || !strings.Contains(texts(reply.Notes), "key was revoked") {
			t.Errorf("%s: a package that may not: %+v", test.name, reply)
		}
		if reply, err := x.Header(t.Context(), &wire.Header{Type: wire.Added, Region: []byte("nonsense")}); err != nil || reply.Decision != wire.NoList {
			t.Errorf("%s: nonsense: %+v, %v", test.name, reply, err)
		}
		x.Finish(t)
		if got := kindsOf(t, m)[len(before):]; !slices.Equal(got, test.log) {
			t.Errorf("%s: the log has got %v, want %v", test.name, got, test.log)
		}
		if got := m.Names(t); len(got) > 0 {
			t.Errorf("%s: the lists are %v", test.name, got)
		}
	}
}

// TestAbandonedTransaction: one whose package manager is gone ends, and is compared with
// what rpm's database says.
func TestAbandonedTransaction(t *testing.T) {
	m := daemontest.New(t)
	socket, _ := m.Serve(t)
	done, cut := small(t, "done"), small(t, "cut")
	x := begun(t, m, socket, all(done, cut), nil)
	x.Put(t, done)
	x.Announce(t, cut)
	if m.Snapshot().Open != 1 {
		t.Errorf("%d transactions are open", m.Snapshot().Open)
	}
	x.Close()
	daemontest.Await(t, "the transaction has ended", func() bool { return m.Snapshot().Open == 0 })
	daemontest.Await(t, "a comparison is wanted", func() bool {
		reason, _ := m.Wants()
		return reason == "transaction abandoned"
	})
	m.Sync(t)
	if got := m.Names(t); !slices.Equal(got, []string{listOf(done)}) {
		t.Errorf("the lists are %v", got)
	}
}

// TestMessagesOutOfTurn end the connection with an error, and the transaction if there is
// one.
func TestMessagesOutOfTurn(t *testing.T) {
	m := daemontest.New(t)
	socket, _ := m.Serve(t)
	ours := m.Message(t, nil, nil)
	for _, test := range []struct {
		name string
		say  func(c *wire.Conn) error
		want string
	}{
		{"a header first", func(c *wire.Conn) error { return c.Write(&wire.Installed{}, time.Minute) }, "before a Begin"},
		{"an answer first", func(c *wire.Conn) error { return c.Write(&wire.Ack{}, time.Minute) }, "before a Begin"},
		{"two beginnings", func(c *wire.Conn) error {
			if err := c.Write(ours, time.Minute); err != nil {
				return err
			}
			if _, err := c.Read(t.Context(), time.Minute, time.Minute); err != nil {
				return err
			}
			return c.Write(ours, time.Minute)
		}, "within a transaction"},
	} {
		raw, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		c := wire.NewConn(raw)
		if err := test.say(c); err != nil {
			t.Fatal(err)
		}
		reply, err := c.Read(t.Context(), time.Minute, time.Minute)
		if e, ok := reply.(*wire.Error); !ok || !strings.Contains(e.Text, test.want) {
			t.Errorf("%s: %+v, %v; want %q", test.name, reply, err, test.want)
		}
		if _, err := c.Read(t.Context(), time.Minute, time.Minute); err == nil {
			t.Errorf("%s: the daemon says more", test.name)
		}
		c.Close()
		daemontest.Await(t, "no transaction is open", func() bool { return m.Snapshot().Open == 0 })
	}
}

// TestHint: a word about our packages has rpm's database looked at, one about others has
// not.
func TestHint(t *testing.T) {
	m := daemontest.New(t)
	socket, stop := m.Serve(t)
	b := m.Message(t, nil, nil)
	for _, h := range []*wire.Hint{{Plugin: "test", RootDev: b.RootDev, RootIno: b.RootIno + 1}, {Plugin: "test", RootDev: b.RootDev + 1, RootIno: b.RootIno}} {
		if err := daemontest.Connect(t, socket).Hint(h); err != nil {
			t.Fatal(err)
		}
	}
	stop() // after they were heard
	select {
	case <-m.Reconciler.Rested:
		t.Error("a hint about another root was taken for ours")
	default:
	}
	socket, _ = m.Serve(t)
	if err := daemontest.Connect(t, socket).Hint(&wire.Hint{Plugin: "test", RootDev: b.RootDev, RootIno: b.RootIno}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-m.Reconciler.Rested:
	case <-time.After(time.Minute):
		t.Error("a hint about our root had no effect")
	}
}

// TestOthersAreRefused: nobody but root and the user of the daemon says what rpm does.
func TestOthersAreRefused(t *testing.T) {
	needs.Root(t)
	m := daemontest.New(t)
	socket, _ := m.Serve(t)
	if err := os.Chmod(filepath.Dir(socket), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(socket, 0o666); err != nil {
		t.Fatal(err)
	}
	told := make(chan string, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the user that it got
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), 65534, ^uintptr(0)); errno != 0 {
			told <- errno.Error()
			return
		}
		raw, err := net.Dial("unix", socket)
		if err != nil {
			told <- err.Error()
			return
		}
		c := wire.NewConn(raw)
		defer c.Close()
		reply, err := c.Read(t.Context(), time.Minute, time.Minute)
		if err != nil {
			told <- err.Error()
			return
		}
		told <- fmt.Sprintf("%v: %+v", reply.Kind(), reply)
	}()
	if text := <-told; !strings.HasPrefix(text, "ERROR: ") || !strings.Contains(text, "cannot serve uid 65534") {
		t.Errorf("another user is told %q", text)
	}
}

// TestTooManyPackageManagers: those that are more than may be are turned away, which
// status tells until none was for a while; the others are served on.
func TestTooManyPackageManagers(t *testing.T) {
	t.Parallel() // it waits for that while
	const most = 64
	m := daemontest.New(t)
	socket, _ := m.Serve(t)
	var all []net.Conn
	defer func() {
		for _, c := range all {
			c.Close()
		}
	}()
	for range most {
		c, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	for range 2 {
		if _, err := daemontest.Connect(t, socket).Begin(t.Context(), m.Message(t, nil, nil)); err == nil {
			t.Error("one more is served")
		}
	}
	daemontest.Await(t, "status tells of them", func() bool {
		return strings.Contains(m.Problem("hooks").Text, "limit of 64 connected package managers")
	})
	all[0].Close()
	daemontest.Await(t, "another is served", func() bool {
		_, err := daemontest.Connect(t, socket).Begin(t.Context(), m.Message(t, nil, nil))
		return err == nil
	})
	daemontest.Await(t, "status tells of them no more", func() bool { return m.Problem("hooks").Text == "" })
}
