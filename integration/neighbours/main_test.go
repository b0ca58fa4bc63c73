// SPDX-License-Identifier: Apache-2.0

// Package neighbours_test lets the programs that others decide by judge what
// digestd writes for them: a real fapolicyd, a validator of Keylime's schema, and
// evmctl, which verifies signatures on files as the kernel does. The kernel itself
// judges in integration/vm.
package neighbours_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/integration/pkgtest"
)

// patience is how long anything may take that is waited for.
const patience = time.Minute

var programs pkgtest.Programs

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot set the tests up:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "digestd-neighbours-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if programs, err = pkgtest.BuildPrograms(dir); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// machine is a root with a daemon, rpm and the key of a vendor.
type machine struct {
	*testing.T
	root   *pkgtest.Root
	daemon *pkgtest.Daemon
	vendor *pkgtest.Key
	dir    string // for files
}

func newMachine(t *testing.T, config ...string) *machine {
	t.Helper()
	root, err := pkgtest.NewRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	vendor, err := pkgtest.NewKey("vendor", 2048)
	if err != nil {
		t.Fatal(err)
	}
	if err := root.Import(vendor); err != nil {
		t.Fatal(err)
	}
	m := &machine{T: t, root: root, vendor: vendor, dir: t.TempDir()}
	m.daemon = pkgtest.NewDaemon(t, programs, root, t.TempDir())
	m.daemon.Config = config
	root.Macros = programs.PluginMacros(m.daemon.Socket())
	return m
}

// build makes a package of these files, all of them executable.
func (m *machine) build(name, version string, files map[string]string) string {
	m.Helper()
	p := pkgtest.Package{Name: name, Version: version, Release: "1", Arch: "noarch", Key: m.vendor, Files: files}
	file, err := p.Build(m.dir)
	if err != nil {
		m.Fatal(err)
	}
	return file
}

func (m *machine) rpm(args ...string) {
	m.Helper()
	if err := m.root.Run(args...); err != nil {
		m.Fatal(err)
	}
}

func (m *machine) digestctl(args ...string) string {
	m.Helper()
	out, err := exec.Command(filepath.Join(programs.Dir, "digestctl"), append([]string{"--bus", m.daemon.Bus.Address}, args...)...).CombinedOutput()
	if err != nil {
		m.Fatalf("digestctl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (m *machine) fingerprint() string { return m.vendor.Fingerprint() }

// soon waits until check finds nothing wrong.
func (m *machine) soon(what string, check func() error) {
	m.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			m.Fatalf("%s: %v", what, err)
		}
	}
}

// path is where the root has a file.
func (m *machine) path(name string) string { return filepath.Join(m.root.Dir, name) }

// lines returns the lines of a file that are no comments.
func lines(data []byte) (all []string) {
	for line := range bytes.Lines(data) {
		if line[0] != '#' {
			all = append(all, strings.TrimSuffix(string(line), "\n"))
		}
	}
	return all
}
