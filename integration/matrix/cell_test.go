// SPDX-License-Identifier: Apache-2.0

package matrix_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/digestd/digestd/daemon/bus/bustest"
	"github.com/digestd/digestd/integration/pkgtest"
)

// manager is a program that changes packages.
type manager struct {
	name string
	asks bool // about the whole transaction, before it downloads and before it begins
	args func(c *cell, verb string, pkgs []string) []string
}

var rpm = manager{name: "rpm", args: func(c *cell, verb string, pkgs []string) []string {
	verbs := map[string][]string{"install": {"-U"}, "upgrade": {"-U"}, "downgrade": {"-U", "--oldpackage"}, "remove": {"-e"}}
	args := append([]string{"rpm", "--root", filepath.Join(c.dir, "root")}, verbs[verb]...)
	for _, p := range pkgs {
		if verb != "remove" {
			p = filepath.Join(c.dir, "packages", p+".noarch.rpm")
		}
		args = append(args, p)
	}
	return args
}}

func dnf(c *cell, program string, what []string, more ...string) []string {
	return slices.Concat([]string{
		program, "--assumeyes", "--installroot=" + filepath.Join(c.dir, "root"), "--releasever=1",
		"--repofrompath=test," + c.server.URL, "--repo=test", "--setopt=gpgcheck=0", "--setopt=install_weak_deps=0",
		"--setopt=keepcache=0", "--setopt=cachedir=" + filepath.Join(c.dir, "cache"), "--setopt=logdir=" + filepath.Join(c.dir, "log"),
	}, more, what)
}

var dnf4 = manager{name: "dnf4", asks: true, args: func(c *cell, verb string, pkgs []string) []string {
	plugins := filepath.Join(c.dir, "dnf4")
	return dnf(c, "dnf", append([]string{verb}, pkgs...), "--setopt=pluginpath="+plugins, "--setopt=pluginconfpath="+plugins)
}}

var dnf5 = manager{name: "dnf5", asks: true, args: func(c *cell, verb string, pkgs []string) []string {
	return dnf(c, "dnf5", append([]string{verb}, pkgs...), "--setopt=pluginconfpath="+filepath.Join(c.dir, "dnf5"))
}}

// cell is one manager of one release, on an empty root without a database, whose
// lists a daemon keeps once it is started.
type cell struct {
	*pkgtest.Machine
	release *release
	manager manager
	dir     string // as the release sees it
	bus     string // address of the system's, as the release sees it
	server  *httptest.Server
	fetched atomic.Int32 // packages
}

func newCell(t *testing.T, r *release, m manager) *cell {
	dir, err := os.MkdirTemp(r.Outside(r.dir), "cell-")
	if err != nil {
		t.Fatal(err)
	}
	// All that a package's own scriptlet must see lies in the root.
	root := filepath.Join(dir, "root")
	d := pkgtest.NewDaemon(t, programs, &pkgtest.Root{Dir: root}, filepath.Join(root, "etc", "digestd"))
	c := &cell{Machine: &pkgtest.Machine{TB: t, Daemon: d, Made: packages}, release: r, manager: m, dir: r.Inside(dir)}
	c.Bus = bustest.StartIn(t, dir)
	c.Args = []string{"-verbose"}
	files := http.FileServer(http.Dir(packages))
	c.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasSuffix(req.URL.Path, ".rpm") {
			c.fetched.Add(1)
		}
		files.ServeHTTP(w, req)
	}))
	t.Cleanup(c.server.Close)
	c.OK(os.CopyFS(filepath.Join(dir, "packages"), os.DirFS(packages)))
	for _, sub := range []string{"home", "log"} {
		c.OK(os.Mkdir(filepath.Join(dir, sub), 0o755))
	}
	c.installHooks(dir)
	c.writeMacros("")
	for _, k := range []*pkgtest.Key{vendor, stolen} {
		c.OK(os.WriteFile(filepath.Join(dir, k.Owner+".asc"), k.Armor, 0o644))
	}
	return c
}

// installHooks installs the plugins of dnf and dnf5 as make install does.
func (c *cell) installHooks(dir string) {
	c.Helper()
	hooks := filepath.Join("..", "..", "hooks")
	err := errors.Join(
		mk("-C", filepath.Join(hooks, "dnf4"), "install", "DESTDIR="+dir, "dnfplugindir=/dnf4", "hook="+c.hook()),
		mk("-C", filepath.Join(hooks, "dnf5"), "install", "DESTDIR="+dir, "actionsdir=/dnf5/actions.d", "hook="+c.hook()),
		// In a directory of its own, dnf5 must be told to load its plugin.
		os.WriteFile(filepath.Join(dir, "dnf5", "actions.conf"), []byte("[main]\nname = actions\nenabled = 1\n"), 0o644),
		copyFile(filepath.Join(dir, "digestd-hook"), filepath.Join(programs.Dir, "digestd-hook")),
	)
	c.OK(err)
}

func copyFile(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o755)
}

func (c *cell) hook() string { return filepath.Join(c.dir, "digestd-hook") }

// initialise makes a database that trusts everybody who signs here.
func (c *cell) initialise() {
	c.Helper()
	root := filepath.Join(c.dir, "root")
	c.must("rpm", "--root", root, "--initdb")
	for _, k := range []*pkgtest.Key{vendor, stolen} {
		c.must("rpm", "--root", root, "--import", filepath.Join(c.dir, k.Owner+".asc"))
	}
}

// writeMacros sets rpm up, by the one file that dnf reads too, with options of
// the plugin and more macros.
func (c *cell) writeMacros(options string, more ...string) {
	c.Helper()
	so := filepath.Join(c.release.dir, "rpm")
	macros := append([]string{
		"_dbpath " + pkgtest.DBPath, "_keyring rpmdb", "__plugindir " + so,
		"__transaction_digestd " + so + "/digestd.so socket=" + filepath.Join(c.dir, "root/etc/digestd/run/hook.sock") + " " + options,
	}, more...)
	text := "%" + strings.Join(macros, "\n%") + "\n"
	c.OK(os.WriteFile(c.outside("home/.rpmmacros"), []byte(text), 0o644))
}

// outside is how this process names a file of the cell.
func (c *cell) outside(path string) string { return c.release.Outside(filepath.Join(c.dir, path)) }

// run runs a program of the release and returns its exit code and what it said.
func (c *cell) run(args ...string) (code int, said string) {
	c.Helper()
	cmd := c.release.Command(args[0], args[1:]...)
	cmd.Env = append(cmd.Env, "HOME="+filepath.Join(c.dir, "home"), "DBUS_SYSTEM_BUS_ADDRESS="+c.bus)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

func (c *cell) must(args ...string) string {
	c.Helper()
	code, said := c.run(args...)
	if code != 0 {
		c.Fatalf("%s: code %d, said\n%s", strings.Join(args, " "), code, said)
	}
	return said
}

// installed lists the packages in the database.
func (c *cell) installed() []string {
	c.Helper()
	names := strings.Fields(c.must("rpm", "--root", filepath.Join(c.dir, "root"), "-qa", "--qf", "%{name}-%{version}-%{release} "))
	names = slices.DeleteFunc(names, func(n string) bool { return strings.HasPrefix(n, "gpg-pubkey-") })
	slices.Sort(names)
	return names
}
