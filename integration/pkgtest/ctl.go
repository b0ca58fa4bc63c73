// SPDX-License-Identifier: Apache-2.0

package pkgtest

import (
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/digestd/digestd/daemon/api"
)

// Digestctl is digestctl on the daemon's bus.
func (d *Daemon) Digestctl(args ...string) *exec.Cmd {
	return exec.Command(filepath.Join(d.Programs.Dir, "digestctl"), append([]string{"--bus", d.Bus.Address}, args...)...)
}

// Ctl runs digestctl and returns what it printed, and its exit code. Its documents for programs
// have to fit the schema of the verb.
func (m *Machine) Ctl(args ...string) (stdout, stderr string, code int) {
	m.Helper()
	return m.CtlWith("", args...)
}

// CtlWith is Ctl with that on standard input. Relative paths begin at the root.
func (m *Machine) CtlWith(stdin string, args ...string) (stdout, stderr string, code int) {
	m.Helper()
	var out, errOut strings.Builder
	cmd := m.Digestctl(args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
	cmd.Dir = m.Root.Dir
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		m.Fatal(err)
	}
	m.fitsSchema(args, out.String())
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

// Exits runs digestctl, wants that exit code and returns what it printed, on
// standard error too.
func (m *Machine) Exits(want int, args ...string) string {
	m.Helper()
	out, errOut, code := m.Ctl(args...)
	if code != want {
		m.Fatalf("digestctl %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), code, want, out, errOut)
	}
	return out + errOut
}

// Must runs digestctl, wants success and returns what it printed.
func (m *Machine) Must(args ...string) string {
	m.Helper()
	return m.Exits(0, args...)
}

// Fails runs digestctl and wants an exit code and words on standard error.
func (m *Machine) Fails(want int, words string, args ...string) {
	m.Helper()
	out, errOut, code := m.Ctl(args...)
	if code != want || !strings.Contains(errOut, words) {
		m.Fatalf("digestctl %s: exit code %d, want %d with %q\n%s%s", strings.Join(args, " "), code, want, words, out, errOut)
	}
}

// JSON runs digestctl --json and decodes what it prints, with whichever exit code,
// which is returned.
func (m *Machine) JSON(into any, args ...string) (code int) {
	m.Helper()
	out, errOut, code := m.Ctl(append([]string{"--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		m.Fatalf("digestctl %s printed no JSON: %v\n%s%s", strings.Join(args, " "), err, out, errOut)
	}
	return code
}

// Status is what digestctl status says.
func (m *Machine) Status() (s api.Status) {
	m.Helper()
	m.JSON(&s, "status")
	return s
}

// Problem returns a problem that status has.
func (m *Machine) Problem(id string) (p api.Problem, found bool) {
	m.Helper()
	problems := m.Status().Problems
	i := slices.IndexFunc(problems, func(p api.Problem) bool { return p.ID == id })
	if i < 0 {
		return p, false
	}
	return problems[i], true
}

// HasProblem wants status to have a problem whose text has these words, now, and
// returns the text.
func (m *Machine) HasProblem(id string, words ...string) (text string) {
	m.Helper()
	p, found := m.Problem(id)
	if !found {
		m.Fatalf("there is no problem %q: %+v", id, m.Status().Problems)
	}
	m.Says(p.Text, words...)
	return p.Text
}

// AwaitProblem is HasProblem, and waits for the problem.
func (m *Machine) AwaitProblem(id string, words ...string) (text string) {
	m.Helper()
	Await(func() bool { _, found := m.Problem(id); return found })
	return m.HasProblem(id, words...)
}

// Solved waits for a problem to be gone.
func (m *Machine) Solved(id string) {
	m.Helper()
	m.Until("no problem "+id, func() bool { _, found := m.Problem(id); return !found })
}

// Why returns what is said of a file of the root.
func (m *Machine) Why(file string) api.Why {
	m.Helper()
	var doc struct{ Why []api.Why }
	m.JSON(&doc, "why", m.Path(file))
	if len(doc.Why) != 1 {
		m.Fatalf("why %s: %+v", file, doc)
	}
	return doc.Why[0]
}

// Vouched wants a file of the root to be vouched for, or not, now.
func (m *Machine) Vouched(file string, want bool) {
	m.Helper()
	if w := m.Why(file); w.Vouched != want {
		m.Fatalf("why %s: %+v, want vouched=%v", file, w, want)
	}
}
