// SPDX-License-Identifier: Apache-2.0

package keys_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/integration/pkgtest"
)

// patience is how long a daemon may take to notice.
const patience = time.Minute

// machine is a root inside a release whose rpm keeps keys in one way, and a
// daemon of this machine beside it.
type machine struct {
	*testing.T
	*release
	keyring string
	dir     string // as the release's programs see it
	outside string
	daemon  *pkgtest.Daemon
}

func newMachine(t *testing.T, r *release, keyring string) *machine {
	t.Helper()
	m := &machine{T: t, release: r, keyring: keyring}
	m.dir, m.outside = r.scratch(t)
	for _, dir := range []string{m.database(), filepath.Join(m.outside, "run"), filepath.Join(m.outside, "revoked.d")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if keyring == "fs" && !r.makesKeyring() {
		if err := os.Mkdir(m.pubkeys(), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	copyFile(t, r.pluginFile(t), m.outside)
	o := theVendor(t)
	for _, file := range append(o.packages, o.cert, o.revoked) {
		copyFile(t, file, m.outside)
	}
	m.mustRPM("rpm", "--initdb")
	m.daemon = pkgtest.NewDaemon(t, programs, &pkgtest.Root{Dir: filepath.Join(m.outside, "root")}, m.outside)
	m.daemon.Config = append(m.daemon.Config, "revoked = \""+filepath.Join(m.outside, "revoked.d")+"\"")
	return m
}

// makesKeyring reports whether rpm makes the directory of its fs keyring.
func (r *release) makesKeyring() bool { return r.rpm == "6.1" }

func (m *machine) database() string { return filepath.Join(m.outside, "root", pkgtest.DBPath) }
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
	if m.name == "host" && name == "rpm" && slices.ContainsFunc(args, func(a string) bool { return a == "-U" || a == "-e" }) {
		all = append(all, "--force-debian")
	}
	var out bytes.Buffer
	cmd := m.command(name, all...)
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

// digestctl runs it and returns what it printed.
func (m *machine) digestctl(args ...string) (string, error) {
	out, err := exec.Command(filepath.Join(programs.Dir, "digestctl"), append([]string{"--bus", m.daemon.Bus.Address}, args...)...).CombinedOutput()
	return string(out), err
}

func (m *machine) mustCtl(args ...string) string {
	m.Helper()
	out, err := m.digestctl(args...)
	if err != nil {
		m.Fatalf("digestctl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// wantLists waits for the list directory to hold the lists of these packages.
func (m *machine) wantLists(after string, names ...string) {
	m.Helper()
	var want, got []string
	for _, n := range names {
		want = append(want, "tlv-"+n+"-0:1-1.noarch")
	}
	slices.Sort(want)
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		entries, err := os.ReadDir(m.daemon.Lists())
		if err != nil {
			m.Fatal(err)
		}
		got = nil
		for _, e := range entries {
			got = append(got, e.Name())
		}
		if slices.Equal(got, want) {
			return
		}
		if time.Now().After(deadline) {
			m.Fatalf("%s: lists are %v, want %v", after, got, want)
		}
	}
}

// everywhere runs a test with every form in which every rpm keeps keys.
func everywhere(t *testing.T, test func(m *machine)) {
	for _, r := range releases {
		for _, keyring := range r.keyrings {
			t.Run(r.name+"/"+keyring, func(t *testing.T) {
				t.Parallel()
				test(newMachine(t, r, keyring))
			})
		}
	}
}
