// SPDX-License-Identifier: Apache-2.0

package keys_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/integration/pkgtest"
)

// machine is a root inside a release whose rpm keeps keys in one way, and a
// daemon of this machine beside it.
type machine struct {
	*pkgtest.Machine
	*release
	keyring string
	dir     string // Dir, as the release's programs see it
}

func newMachine(t *testing.T, r *release, keyring string) *machine {
	t.Helper()
	m := &machine{release: r, keyring: keyring}
	var outside string
	m.dir, outside = r.Scratch(t)
	m.Machine = &pkgtest.Machine{TB: t, Daemon: pkgtest.NewDaemon(t, programs, &pkgtest.Root{Dir: filepath.Join(outside, "root")}, outside), Made: outside}
	m.OK(os.MkdirAll(m.database(), 0o755))
	if keyring == "fs" && !r.makesKeyring() {
		m.OK(os.Mkdir(m.pubkeys(), 0o755))
	}
	m.copyTo("", r.plugin)
	o := theVendor(t)
	for _, file := range append(o.packages, o.cert, o.revoked) {
		m.copyTo("", file)
	}
	m.mustRPM("rpm", "--initdb")
	return m
}

// makesKeyring reports whether rpm makes the directory of its fs keyring.
func (r *release) makesKeyring() bool { return r.rpm == "6.1" }

func (m *machine) database() string { return m.Path(pkgtest.DBPath) }
func (m *machine) pubkeys() string  { return filepath.Join(m.database(), "pubkeys") }

// tool runs rpm or rpmkeys on the root, with the plugin. Names of files are those
// in the machine's directory.
func (m *machine) tool(name string, args ...string) (said string, err error) {
	all := []string{"--root", filepath.Join(m.dir, "root"), "--define", "_dbpath " + pkgtest.DBPath, "--define", "_keyring " + m.keyring,
		"--define", "__plugindir " + m.dir,
		"--define", "__transaction_digestd " + filepath.Join(m.dir, "digestd.so") + " socket=" + filepath.Join(m.dir, "run", "hook.sock")}
	for _, a := range args {
		if ext := filepath.Ext(a); ext == ".rpm" || ext == ".asc" {
			a = filepath.Join(m.dir, filepath.Base(a))
		}
		all = append(all, a)
	}
	if m.release.Name == "host" && name == "rpm" && slices.ContainsFunc(args, func(a string) bool { return a == "-U" || a == "-e" }) {
		all = append(all, "--force-debian")
	}
	var out bytes.Buffer
	cmd := m.Command(name, all...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return out.String(), err
}

func (m *machine) mustRPM(name string, args ...string) string {
	m.Helper()
	said, err := m.tool(name, args...)
	if err != nil {
		m.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, said)
	}
	return said
}

// wantLists waits for the list directory to hold the lists of these packages.
func (m *machine) wantLists(after string, names ...string) {
	m.Helper()
	want := []string{}
	for _, n := range names {
		want = append(want, pkgtest.ListOf(n, "1"))
	}
	slices.Sort(want)
	if !pkgtest.Await(func() bool { return slices.Equal(m.Names(), want) }) {
		m.Fatalf("%s: lists are %q, want %q", after, m.Names(), want)
	}
}

// everywhere runs a test with every form in which every rpm keeps keys.
func everywhere(t *testing.T, test func(m *machine)) {
	for _, r := range releases {
		for _, keyring := range r.keyrings {
			t.Run(r.Release.Name+"/"+keyring, func(t *testing.T) {
				t.Parallel()
				test(newMachine(t, r, keyring))
			})
		}
	}
}
