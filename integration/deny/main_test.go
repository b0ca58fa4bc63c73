// SPDX-License-Identifier: Apache-2.0

// Package deny_test proves on real rpm, with the plugin, that what the owner
// denies is vouched for by no list and installed by no package manager, until
// that is lifted or expires, and wherever the daemon dies meanwhile.
package deny_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/integration/pkgtest"
)

// patience is how long something that must come true may take on a busy machine.
const patience = time.Minute

var (
	programs pkgtest.Programs
	vendor   *pkgtest.Key
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot set the tests up:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "digestd-deny-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if programs, err = pkgtest.BuildPrograms(dir, "failpoint"); err != nil {
		return 1, err
	}
	if vendor, err = pkgtest.NewKey("vendor", 2048); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// machine is a root with a daemon that keeps its lists.
type machine struct {
	*testing.T
	*pkgtest.Daemon
	root *pkgtest.Root
	made string // where packages are
}

func newMachine(t *testing.T, config ...string) *machine {
	t.Helper()
	root, err := pkgtest.NewRoot(filepath.Join(t.TempDir(), "root"))
	if err == nil {
		err = root.Import(vendor)
	}
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{T: t, root: root, made: t.TempDir(), Daemon: pkgtest.NewDaemon(t, programs, root, t.TempDir())}
	m.Config = config
	root.Macros = programs.PluginMacros(m.Socket())
	m.Start()
	return m
}

// build makes a package of "name-version-release.arch" with these files, each
// "path=content".
func (m *machine) build(nvra string, files ...string) string {
	m.Helper()
	rest, arch := cut(nvra, ".")
	rest, release := cut(rest, "-")
	name, version := cut(rest, "-")
	p := pkgtest.Package{Name: name, Version: version, Release: release, Arch: arch, Key: vendor, Files: map[string]string{}}
	for _, f := range files {
		path, content, _ := strings.Cut(f, "=")
		p.Files[path] = content
	}
	file, err := p.Build(m.made)
	if err != nil {
		m.Fatal(err)
	}
	return file
}

func cut(s, sep string) (before, after string) {
	i := strings.LastIndex(s, sep)
	return s[:i], s[i+1:]
}

func (m *machine) rpm(args ...string) string {
	m.Helper()
	out, err := m.root.Command(args...).CombinedOutput()
	if err != nil {
		m.Fatalf("rpm %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// refused runs rpm, which must fail and say all of these.
func (m *machine) refused(says []string, args ...string) {
	m.Helper()
	out, err := m.root.Command(args...).CombinedOutput()
	if err == nil {
		m.Fatalf("rpm %v succeeded\n%s", args, out)
	}
	m.mustSay(string(out), says...)
}

func (m *machine) mustSay(text string, says ...string) {
	m.Helper()
	for _, s := range says {
		if !strings.Contains(text, s) {
			m.Fatalf("it does not say %q:\n%s", s, text)
		}
	}
}

// command is digestctl on the machine's bus.
func (m *machine) command(args ...string) *exec.Cmd {
	return exec.Command(filepath.Join(programs.Dir, "digestctl"), append([]string{"--bus", m.Bus.Address}, args...)...)
}

// ctl runs digestctl, which must end with that code.
func (m *machine) ctl(code int, args ...string) string {
	m.Helper()
	out, err := m.command(args...).CombinedOutput()
	var exit *exec.ExitError
	got := 0
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		m.Fatal(err)
	}
	if got != code {
		m.Fatalf("digestctl %v: exit code %d, want %d\n%s", args, got, code, out)
	}
	return string(out)
}

// path is that of a file in the root.
func (m *machine) path(p string) string { return filepath.Join(m.root.Dir, p) }

// body is that of a published list, whose signature must be the machine's.
func (m *machine) body(list string) []byte {
	m.Helper()
	data, err := os.ReadFile(filepath.Join(m.Lists(), list))
	if err != nil {
		m.Fatal(err)
	}
	body, sig, _, err := digestlist.SplitSignature(data)
	if err == nil {
		_, err = digestlist.VerifyPKCS7(body, sig, m.certificates())
	}
	if err != nil {
		m.Fatalf("list %s: %v", list, err)
	}
	return body
}

// files are the paths that a list has, sorted.
func (m *machine) files(list string) []string {
	m.Helper()
	paths := []string{}
	err := digestlist.WalkTLV(m.body(list), func(_ digestlist.Algo, _, path []byte) error {
		paths = append(paths, string(path))
		return nil
	})
	if err != nil {
		m.Fatalf("list %s: %v", list, err)
	}
	slices.Sort(paths)
	return paths
}

// has wants exactly these files in a list.
func (m *machine) has(list string, paths ...string) {
	m.Helper()
	if got := m.files(list); !slices.Equal(got, paths) {
		m.Fatalf("list %s has %v, want %v", list, got, paths)
	}
}

// lists wants exactly these lists, now.
func (m *machine) lists(want ...string) {
	m.Helper()
	if got := m.names(); !slices.Equal(got, want) {
		m.Fatalf("lists %v, want %v", got, want)
	}
}

func (m *machine) names() []string {
	m.Helper()
	entries, err := os.ReadDir(m.Lists())
	if err != nil {
		m.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// until waits for something to come true.
func (m *machine) until(what string, done func() bool) {
	m.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			m.Fatalf("never happened: %s; lists are %v", what, m.names())
		}
	}
}

// returns waits until exactly these lists are there.
func (m *machine) returns(want ...string) {
	m.Helper()
	m.until(fmt.Sprintf("lists %v", want), func() bool { return slices.Equal(m.names(), want) })
}

// vouched waits until a file is vouched for: the directory comes first, what the
// daemon says of it an instant later.
func (m *machine) vouched(path string) {
	m.Helper()
	m.until(path+" is vouched for", func() bool {
		return m.command("why", m.path(path)).Run() == nil
	})
}
