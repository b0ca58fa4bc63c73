// SPDX-License-Identifier: Apache-2.0

// Package own_test makes the owner's own lists, and puts lists in order, with the
// daemon and the command line as they are shipped, on a root with rpm's database
// and real files. Nothing in it is imitated.
package own_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/integration/pkgtest"
	"golang.org/x/sys/unix"
)

// patience is how long something that must come true may take.
const patience = time.Minute

// programs is what is tested, with failpoints.
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
	dir, err := os.MkdirTemp("", "digestd-own-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if programs, err = pkgtest.BuildPrograms(dir, "failpoint"); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// machine is a root with a daemon that keeps its lists.
type machine struct {
	*testing.T
	*pkgtest.Daemon
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	root, err := pkgtest.NewRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	d := pkgtest.NewDaemon(t, programs, root, t.TempDir())
	root.Macros = programs.PluginMacros(d.Socket())
	return &machine{T: t, Daemon: d}
}

// start makes a machine whose daemon runs.
func start(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t)
	m.Start()
	return m
}

// inside returns the path of a file as this process sees it.
func (m *machine) inside(path string) string { return filepath.Join(m.Root.Dir, path) }

// write makes a file in the root, and the directories above it.
func (m *machine) write(path, content string) string {
	m.Helper()
	full := m.inside(path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		m.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o755); err != nil {
		m.Fatal(err)
	}
	return full
}

// ctl runs digestctl and returns what it printed and its exit code.
func (m *machine) ctl(args ...string) (stdout, stderr string, code int) {
	m.Helper()
	return m.ctlWith("", args...)
}

func (m *machine) ctlWith(stdin string, args ...string) (stdout, stderr string, code int) {
	m.Helper()
	cmd := exec.Command(filepath.Join(programs.Dir, "digestctl"), append([]string{"--bus", m.Bus.Address}, args...)...)
	var out, errOut strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
	cmd.Dir = m.Root.Dir
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		m.Fatal(err)
	}
	return out.String(), errOut.String(), code
}

// must runs digestctl and wants success.
func (m *machine) must(args ...string) string {
	m.Helper()
	out, errOut, code := m.ctl(args...)
	if code != 0 {
		m.Fatalf("digestctl %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errOut)
	}
	return out
}

// fails runs digestctl and wants an exit code and words on standard error.
func (m *machine) fails(want int, text string, args ...string) {
	m.Helper()
	out, errOut, code := m.ctl(args...)
	if code != want || !strings.Contains(errOut, text) {
		m.Fatalf("digestctl %s: exit code %d, want %d with %q\n%s%s", strings.Join(args, " "), code, want, text, out, errOut)
	}
}

// decode runs digestctl for JSON.
func decode[T any](m *machine, args ...string) (v T) {
	m.Helper()
	out := m.must(append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		m.Fatalf("%v\n%s", err, out)
	}
	return v
}

// update makes one own list again and returns what became of it.
func (m *machine) update(names ...string) api.OwnResult {
	m.Helper()
	doc := decode[struct{ Lists []api.OwnResult }](m, append([]string{"own", "update"}, names...)...)
	if len(doc.Lists) != 1 {
		m.Fatalf("own update: %+v", doc)
	}
	return doc.Lists[0]
}

func (m *machine) status() (s api.Status) {
	m.Helper()
	out, _, _ := m.ctl("status", "--json")
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		m.Fatalf("%v\n%s", err, out)
	}
	return s
}

// lists returns the names in the list directory, sorted.
func (m *machine) lists() []string { m.Helper(); return m.names(m.Lists()) }

func (m *machine) names(dir string) []string {
	m.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		m.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// eventually waits for the list directory to have exactly these names.
func (m *machine) eventually(want ...string) {
	m.Helper()
	slices.Sort(want)
	m.wait(func() bool { return slices.Equal(m.lists(), want) }, func() string {
		return fmt.Sprintf("lists are %q, want %q", m.lists(), want)
	})
}

func (m *machine) wait(done func() bool, what func() string) {
	m.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			m.Fatal(what())
		}
	}
}

// label returns the list that a file is bound to.
func (m *machine) label(path string) string {
	m.Helper()
	buf := make([]byte, 256)
	n, err := unix.Lgetxattr(m.inside(path), "security.digest_list", buf)
	if errors.Is(err, unix.ENODATA) {
		return ""
	}
	if err != nil {
		m.Fatal(err)
	}
	return string(buf[:n])
}

// why returns what is said of a file.
func (m *machine) why(path string) api.Why {
	m.Helper()
	out, errOut, _ := m.ctl("why", "--json", m.inside(path))
	var doc struct{ Why []api.Why }
	if err := json.Unmarshal([]byte(out), &doc); err != nil || len(doc.Why) != 1 {
		m.Fatalf("why %s: %v\n%s%s", path, err, out, errOut)
	}
	return doc.Why[0]
}

func (m *machine) vouched(path string, want bool) {
	m.Helper()
	if w := m.why(path); w.Vouched != want {
		m.Fatalf("why %s: %+v, want vouched=%v", path, w, want)
	}
}
