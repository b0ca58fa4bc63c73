// SPDX-License-Identifier: Apache-2.0

// Package daemontest gives the rooms of the daemon something to be tested on: a daemon in
// a directory of its own, with an index, a list directory and a database of rpm on disk,
// which serves nobody by itself.
package daemontest

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/integration/bench/gendb"
	"github.com/digestd/digestd/integration/pkgtest"
	"github.com/digestd/digestd/kernel/deployment"
)

// keyBits are those of the keys that sign packages: enough to be believed.
const keyBits = 2048

// Root is who acts in tests.
var Root = api.Actor{UID: 0, PID: 1, Sender: ":1.1"}

// Machine is a daemon and what it runs on.
type Machine struct {
	*daemon.Daemon
	daemon.Rooms
	Config config.Config
	Log    io.Writer        // what the daemon logs, if it is set before Start
	Clock  func() time.Time // the daemon's, if it is set before Start
	booted                  // what the machine is running

	db        *gendb.Database
	installed map[string]gendb.Made // by NEVRA
	names     map[string]string     // of packages, by NEVRA
	keys      map[string]*pkgtest.Key
	stop      func()
}

// New returns a machine whose daemon has been started. Packages need no signature unless
// set changes that. The root holds no file, and labels are off.
func New(t testing.TB, set ...func(*config.Config)) *Machine {
	t.Helper()
	dir := t.TempDir()
	c := config.Default()
	c.Root, c.DBPath = filepath.Join(dir, "root"), "/var/lib/rpm"
	c.State, c.Lists = filepath.Join(dir, "state"), filepath.Join(dir, "lists")
	c.Keys, c.Revoked, c.Blacklist = filepath.Join(dir, "keys.d"), filepath.Join(dir, "revoked.d"), filepath.Join(dir, "blacklist.d")
	c.Policy = filepath.Join(dir, "policy.d")
	c.Unsigned, c.AuditTrail, c.Labels = "allow", "none", false
	for _, change := range set {
		change(&c)
	}
	for _, d := range []string{c.Root, c.Keys, c.Revoked, c.Blacklist, c.Policy} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	db, err := gendb.NewDatabase(filepath.Join(c.Root, c.DBPath))
	if err != nil {
		t.Fatal(err)
	}
	m := &Machine{Config: c, db: db, installed: map[string]gendb.Made{}, names: map[string]string{}, keys: map[string]*pkgtest.Key{}, stop: func() {}}
	t.Cleanup(func() {
		m.Stop()
		db.Close()
	})
	m.Start(t)
	return m
}

// Start starts the daemon, which must have been stopped, on what the one before left.
func (m *Machine) Start(t testing.TB) {
	t.Helper()
	log := slog.DiscardHandler
	if m.Log != nil {
		log = slog.NewTextHandler(m.Log, nil)
	}
	d, err := daemon.New(m.Config, slog.New(log), func(...string) {})
	if err != nil {
		t.Fatal(err)
	}
	d.Memory.Rest = func() {} // the memory is that of the tests
	if m.Clock != nil {
		d.Now, d.Exec.Now = m.Clock, m.Clock
	}
	if m.booted.boot > 0 {
		d.Machine.Booted = func() (deployment.Deployment, error) { return m.booted.into, nil }
		d.Exec.State.Boot = strconv.Itoa(m.booted.boot)
		if err := d.Booted(); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	go d.Exec.Run(ctx)
	m.Daemon, m.Rooms = d, d.Rooms()
	m.stop = func() {
		cancel()
		<-d.Exec.Closed
		d.Close()
		m.stop = func() {}
	}
}

// booted is what a machine is running, and how often it was booted.
type booted struct {
	into deployment.Deployment
	boot int
}

// Boot stops the daemon, boots the machine into the deployment of that name, and starts the
// daemon again. The list directory and what is installed are for the test to change.
func (m *Machine) Boot(t testing.TB, name string) {
	t.Helper()
	m.Stop()
	m.booted = booted{deployment.Deployment{Kind: deployment.Btrfs, ID: name, Name: "btrfs subvolume /" + name}, m.booted.boot + 1}
	m.Start(t)
}

// Stop stops the daemon.
func (m *Machine) Stop() { m.stop() }

// Package is a package of version 1-1, without an architecture, of files by their path
// and content. Owner names who signed it; "" is nobody.
func Package(t testing.TB, name, owner string, files map[string]string) gendb.Small {
	t.Helper()
	p := gendb.Small{NEVRA: nevra.NEVRA{Name: name, EVR: nevra.EVR{Version: "1", Release: "1"}, Arch: "noarch"}, Files: files}
	if owner != "" {
		p.Key = Key(t, owner)
	}
	return p
}

// Key is the OpenPGP key of an owner.
func Key(t testing.TB, owner string) *pkgtest.Key {
	t.Helper()
	k, err := pkgtest.NewKey(owner, keyBits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Install puts packages into rpm's database, and returns them as rpm has them.
func (m *Machine) Install(t testing.TB, packages ...gendb.Small) (made []gendb.Made) {
	t.Helper()
	for _, p := range packages {
		one, err := gendb.Make(p)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, one)
		m.installed[p.NEVRA.Full()], m.names[p.NEVRA.Full()] = one, p.NEVRA.Name
	}
	m.write(t)
	return made
}

// Erase takes packages out of rpm's database.
func (m *Machine) Erase(t testing.TB, packages ...gendb.Small) {
	t.Helper()
	for _, p := range packages {
		delete(m.installed, p.NEVRA.Full())
	}
	m.write(t)
}

// Import puts keys into rpm's keyring.
func (m *Machine) Import(t testing.TB, keys ...*pkgtest.Key) {
	t.Helper()
	for _, k := range keys {
		m.keys[k.Fingerprint()] = k
	}
	m.write(t)
}

// Forget takes keys out of rpm's keyring.
func (m *Machine) Forget(t testing.TB, keys ...*pkgtest.Key) {
	t.Helper()
	for _, k := range keys {
		delete(m.keys, k.Fingerprint())
	}
	m.write(t)
}

func (m *Machine) write(t testing.TB) {
	t.Helper()
	err := m.db.Replace(func(add func(name string, blob []byte)) error {
		for _, pkg := range slices.Sorted(maps.Keys(m.installed)) {
			add(m.names[pkg], m.installed[pkg].Blob)
		}
		for _, id := range slices.Sorted(maps.Keys(m.keys)) {
			blob, err := gendb.PublicKey(m.keys[id])
			if err != nil {
				return err
			}
			add("gpg-pubkey", blob)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Sync compares the lists with rpm's database.
func (m *Machine) Sync(t testing.TB) api.SyncResult {
	t.Helper()
	r, err := m.Daemon.Sync(t.Context(), Root, func(string, int, int) {})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Names are those of the files in the list directory, sorted.
func (m *Machine) Names(t testing.TB) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(m.Config.Lists)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Type().IsRegular() && e.Name()[0] != '.' {
			names = append(names, e.Name())
		}
	}
	return names
}

// Path is where a file of the root lies on this machine.
func (m *Machine) Path(inside string) string { return filepath.Join(m.Config.Root, inside) }

// File writes an executable file inside of the root.
func (m *Machine) File(t testing.TB, inside, content string) string {
	t.Helper()
	path := m.Path(inside)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
