// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/bus/bustest"
	"github.com/digestd/digestd/digestlist"
)

// patience is how long something that must come true may take.
const patience = 30 * time.Second

// machine is a root with rpm's database, a bus, and a daemon that keeps its
// lists. Packages lie in the folder packages.
type machine struct {
	testing.TB
	dir    string
	bus    *bustest.Bus
	place  string // holds the list directory
	state  string
	keys   map[string]*signer
	daemon *exec.Cmd
	exited chan error
	log    logBuffer
	config string   // lines added to the configuration
	define []string // macros added to rpm's

	withoutKeys bool     // the kernel's keys are out of the daemon's reach
	wrap        []string // a program that runs the daemon, with its arguments
}

// logBuffer collects what a daemon says while a test reads it.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func newMachine(tb testing.TB, dir string) (*machine, error) {
	m := &machine{TB: tb, dir: dir, bus: bustest.Start(tb), place: dir, state: filepath.Join(dir, "state"), keys: map[string]*signer{}}
	for _, sub := range []string{"root", "packages", "keys.d", "revoked.d", "blacklist.d", "run"} {
		if err := os.MkdirAll(m.path(sub), 0o755); err != nil {
			return nil, err
		}
	}
	tb.Cleanup(func() {
		m.kill()
		if tb.Failed() {
			tb.Logf("what digestd said:\n%s", m.log.String())
		}
	})
	if out, err := m.rpm("--initdb").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cannot make rpm's database: %w\n%s", err, out)
	}
	return m, nil
}

// start makes a machine for a test that is no script, with a trusted key and
// the daemon running.
func start(t *testing.T) *machine {
	t.Helper()
	m, err := newMachine(t, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	m.importKey("vendor")
	m.startDaemon()
	return m
}

func (m *machine) path(elem ...string) string {
	return filepath.Join(append([]string{m.dir}, elem...)...)
}

func (m *machine) rpm(args ...string) *exec.Cmd {
	all := []string{"--root", m.path("root"),
		"--define", "_dbpath /var/lib/rpm", "--define", "_keyring rpmdb",
		"--define", "__plugindir " + built,
		"--define", "__transaction_digestd " + filepath.Join(built, "digestd.so") + " socket=" + m.path("run", "hook.sock"),
	}
	for _, d := range m.define {
		all = append(all, "--define", d)
	}
	for _, a := range args {
		if strings.HasSuffix(a, ".rpm") {
			a = m.path("packages", a)
		}
		all = append(all, a)
	}
	cmd := exec.Command("rpm", append(all, quiet(args)...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "HOME="+m.dir)
	return cmd
}

// quiet is what keeps Debian's rpm from warning whoever changes packages by it.
func quiet(args []string) []string {
	changes := slices.ContainsFunc(args, func(a string) bool { return a == "-i" || a == "-U" || a == "-e" || a == "--reinstall" })
	if _, err := os.Stat("/etc/debian_version"); err != nil || !changes {
		return nil
	}
	return []string{"--force-debian"}
}

// mustRPM runs rpm and wants success.
func (m *machine) mustRPM(args ...string) {
	m.Helper()
	if out, err := m.rpm(args...).CombinedOutput(); err != nil {
		m.Fatalf("rpm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func (m *machine) digestctl(args ...string) *exec.Cmd {
	return exec.Command(filepath.Join(built, "digestctl"), append([]string{"--bus", m.bus.Address}, args...)...)
}

// mustCtl runs digestctl, wants success and returns what it printed.
func (m *machine) mustCtl(args ...string) string {
	m.Helper()
	out, err := m.digestctl(args...).CombinedOutput()
	if err != nil {
		m.Fatalf("digestctl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// prepareDaemon writes the configuration and returns the command that serves it.
func (m *machine) prepareDaemon(env ...string) *exec.Cmd {
	m.Helper()
	config := fmt.Sprintf("root = %q\ndbpath = \"/var/lib/rpm\"\nstate = %q\nlists = %q\nkeys = %q\nrevoked = %q\nblacklist = %q\nsocket = %q\nbus = %q\n%s",
		m.path("root"), m.state, filepath.Join(m.place, "lists"), m.path("keys.d"), m.path("revoked.d"), m.path("blacklist.d"), m.path("run", "hook.sock"), m.bus.Address, m.config)
	if !strings.Contains(config, "audit-trail") {
		config += "\naudit-trail = \"none\"\n" // the journal of the machine that runs tests is not theirs
	}
	if err := os.WriteFile(m.path("digestd.conf"), []byte(config), 0o644); err != nil {
		m.Fatal(err)
	}
	args := append(slices.Clone(m.wrap), filepath.Join(built, "digestd"), "-config", m.path("digestd.conf"), "-verbose")
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	if m.withoutKeys {
		cmd.Env = append(cmd.Env, withoutKeysVariable+"="+strings.Join(cmd.Args, "\n"))
		cmd.Path = "/proc/self/exe"
	}
	cmd.Stderr = &m.log
	return cmd
}

// spawn runs the daemon without waiting for it.
func (m *machine) spawn(env ...string) {
	m.Helper()
	m.kill()
	m.daemon = m.prepareDaemon(env...)
	if err := m.daemon.Start(); err != nil {
		m.Fatal(err)
	}
	exited := make(chan error, 1)
	m.exited = exited
	daemon := m.daemon
	go func() { exited <- daemon.Wait() }()
}

// startDaemon runs the daemon and returns once it is ready, by the word that it
// gives the service manager.
func (m *machine) startDaemon(env ...string) {
	m.Helper()
	addr := &net.UnixAddr{Name: m.path("run", "notify"), Net: "unixgram"}
	os.Remove(addr.Name)
	notify, err := net.ListenUnixgram("unixgram", addr)
	if err != nil {
		m.Fatal(err)
	}
	defer notify.Close()
	m.spawn(append(env, "NOTIFY_SOCKET="+addr.Name)...)
	notify.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, 4096)
	for {
		n, err := notify.Read(buf)
		if err != nil {
			m.Fatalf("digestd is not ready: %v\n%s", err, m.log.String())
		}
		if slices.Contains(strings.Split(string(buf[:n]), "\n"), "READY=1") {
			return
		}
	}
}

// stop ends the daemon in good order.
func (m *machine) stop() {
	m.Helper()
	m.daemon.Process.Signal(syscall.SIGTERM)
	m.mustExit()
}

// mustExit waits for the daemon to end by itself.
func (m *machine) mustExit() (err error) {
	m.Helper()
	select {
	case err = <-m.exited:
		m.daemon = nil
	case <-time.After(patience):
		m.Fatal("digestd does not end")
	}
	return err
}

func (m *machine) kill() {
	if m.daemon == nil {
		return
	}
	m.daemon.Process.Kill()
	<-m.exited
	m.daemon = nil
}

// lists returns the names in the list directory, sorted.
func (m *machine) lists() []string {
	m.Helper()
	entries, err := os.ReadDir(filepath.Join(m.place, "lists"))
	if err != nil {
		m.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// eventually waits for the list directory to hold exactly these names.
func (m *machine) eventually(want ...string) {
	m.Helper()
	slices.Sort(want)
	if !m.wait(func() bool { return slices.Equal(m.lists(), want) }) {
		m.Fatalf("list directory has\n  %s\nwant\n  %s", strings.Join(m.lists(), "\n  "), strings.Join(want, "\n  "))
	}
}

// wait reports whether something comes true in time.
func (m *machine) wait(done func() bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for !done() {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
	return true
}

// wholesome checks that every list is complete and signed by this machine, and
// that nothing is left in staging.
func (m *machine) wholesome() {
	m.Helper()
	cert := m.certificate()
	for _, name := range m.lists() {
		data, err := os.ReadFile(filepath.Join(m.place, "lists", name))
		if err != nil {
			m.Fatal(err)
		}
		body, sig, _, err := digestlist.SplitSignature(data)
		if err != nil {
			m.Fatalf("list %s: %v", name, err)
		}
		if _, err := digestlist.VerifyPKCS7(body, sig, cert); err != nil {
			m.Fatalf("list %s: %v", name, err)
		}
		if _, err := digestlist.ParseTLV(body); err != nil {
			m.Fatalf("list %s: %v", name, err)
		}
	}
	staged := func() []os.DirEntry {
		left, err := os.ReadDir(filepath.Join(m.place, "lists.staging"))
		if err != nil {
			m.Fatal(err)
		}
		return left
	}
	if !m.wait(func() bool { return len(staged()) == 0 }) {
		m.Fatalf("staging has %v", staged())
	}
}

// installed returns the NEVRAs in rpm's database, epoch always written.
func (m *machine) installed() []string {
	m.Helper()
	out, err := m.rpm("-qa", "--qf", "%{name}-%{epochnum}:%{version}-%{release}.%{arch}\n").Output()
	if err != nil {
		m.Fatal(err)
	}
	names := slices.DeleteFunc(strings.Fields(string(out)), func(n string) bool { return strings.HasPrefix(n, "gpg-pubkey-") })
	slices.Sort(names)
	return names
}
