// SPDX-License-Identifier: Apache-2.0

package pkgtest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Machine is a root with rpm's database, a daemon that keeps its lists, and what a
// test does to them and asks of them. Methods fail the test where something is not
// as they say; those that wait do so for [Patience].
type Machine struct {
	testing.TB
	*Daemon
	Made string // where packages are that Build makes
}

// NewMachine makes a machine in dir, whose rpm has the plugin. Its daemon does not
// run yet.
func NewMachine(tb testing.TB, programs Programs, dir string, config ...string) *Machine {
	tb.Helper()
	root, err := NewRoot(filepath.Join(dir, "root"))
	if err != nil {
		tb.Fatal(err)
	}
	m := &Machine{TB: tb, Daemon: NewDaemon(tb, programs, root, dir), Made: filepath.Join(dir, "packages")}
	m.OK(os.MkdirAll(m.Made, 0o755))
	m.Config = config
	root.Macros = programs.PluginMacros(m.Socket())
	return m
}

// Log is what the daemon wrote: testing.TB has a method of this name, too.
func (m *Machine) Log() string { return m.Daemon.Log() }

// OK wants no error.
func (m *Machine) OK(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

// In returns a path below the machine's directory, and Path that of a file in the
// root, both as this process sees them.
func (m *Machine) In(elem ...string) string {
	return filepath.Join(append([]string{m.Dir}, elem...)...)
}

// Path is described at In.
func (m *Machine) Path(file string) string { return filepath.Join(m.Root.Dir, file) }

// Write makes a program in the root, and the directories above it, and returns its
// path.
func (m *Machine) Write(file, content string) string {
	m.Helper()
	full := m.Path(file)
	m.OK(os.MkdirAll(filepath.Dir(full), 0o755))
	m.OK(os.WriteFile(full, []byte(content), 0o755))
	return full
}

// Trust has rpm import keys.
func (m *Machine) Trust(keys ...*Key) {
	m.Helper()
	for _, k := range keys {
		m.OK(m.Root.Import(k))
	}
}

// Build makes a package and returns the path of its file. By default it is release 1, for all
// architectures.
func (m *Machine) Build(p Package) string {
	m.Helper()
	if p.Release == "" {
		p.Release = "1"
	}
	if p.Arch == "" {
		p.Arch = "noarch"
	}
	file, err := p.Build(m.Made)
	m.OK(err)
	return file
}

// RPMCommand is rpm on the root. The bare name of a package's file is that of one
// which Build made.
func (m *Machine) RPMCommand(args ...string) *exec.Cmd {
	all := make([]string, len(args))
	for i, a := range args {
		if filepath.Ext(a) == ".rpm" && filepath.Base(a) == a {
			a = filepath.Join(m.Made, a)
		}
		all[i] = a
	}
	return m.Root.Command(all...)
}

// RPM runs rpm, which must succeed, and returns what it said.
func (m *Machine) RPM(args ...string) string {
	m.Helper()
	out, err := m.RPMCommand(args...).CombinedOutput()
	if err != nil {
		m.Fatalf("rpm %s: %v\n%s", short(args), err, out)
	}
	return string(out)
}

// RPMFails runs rpm, which must fail and say all of these.
func (m *Machine) RPMFails(says []string, args ...string) {
	m.Helper()
	out, err := m.RPMCommand(args...).CombinedOutput()
	if err == nil {
		m.Fatalf("rpm %s succeeded\n%s", short(args), out)
	}
	m.Says(string(out), says...)
}

// Says wants a text to have all of these words.
func (m *Machine) Says(text string, words ...string) {
	m.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			m.Fatalf("it does not say %q:\n%s", w, text)
		}
	}
}

// LabelName is the attribute that binds a file to its list.
const LabelName = "security.digest_list"

// Label returns the list that a file of the root is bound to, "" for none.
func (m *Machine) Label(file string) string {
	m.Helper()
	label, err := Label(m.Path(file))
	m.OK(err)
	return label
}

// Label returns the list that a file is bound to, "" for none. It follows no link.
func Label(path string) (string, error) {
	buf := make([]byte, 256)
	n, err := unix.Lgetxattr(path, LabelName, buf)
	if errors.Is(err, unix.ENODATA) {
		return "", nil
	}
	return string(buf[:max(n, 0)]), err
}
