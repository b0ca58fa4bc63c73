// SPDX-License-Identifier: Apache-2.0

package install_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/bus/bustest"
	"github.com/digestd/digestd/integration/pkgtest"
)

const tutorial = "../../docs/tutorial.md"

// step is a command of the tutorial, where a test runs it, and what its reader sees.
type step struct {
	where, command string
	exit           int
	sees           []string // lines; "…" stands for any text, alone for any lines
}

// steps reads the tutorial.
func steps(t *testing.T) (all []step) {
	t.Helper()
	data, err := os.ReadFile(tutorial)
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)(<!-- run: (\\w+) -->\n)?```console\n(.*?)```\n")
	status := regexp.MustCompile(` +# exit status (\d+)$`)
	for _, b := range block.FindAllStringSubmatch(string(data), -1) {
		if b[2] == "" {
			t.Errorf("the tutorial does not say where these are run:\n%s", b[3])
		}
		for line := range strings.Lines(b[3]) {
			line = strings.TrimRight(line, "\n")
			command, begins := strings.CutPrefix(line, "# ")
			if !begins {
				if len(all) == 0 {
					t.Fatalf("%q follows no command", line)
				}
				last := &all[len(all)-1]
				last.sees = append(last.sees, line)
				continue
			}
			s := step{where: b[2], command: command}
			if m := status.FindStringSubmatch(command); m != nil {
				s.command = strings.TrimSuffix(command, m[0])
				s.exit, _ = strconv.Atoi(m[1])
			}
			all = append(all, s)
		}
	}
	return all
}

// seen is the pattern of what a step shows.
func (s step) seen() *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for i, line := range s.sees {
		if line == "…" {
			b.WriteString(`.*`)
			continue
		}
		if i > 0 {
			b.WriteString(`\n?`)
		}
		b.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", `[^\n]*`))
	}
	return regexp.MustCompile(b.String() + `\s*\z`)
}

// TestTutorialIsRun: a test runs each command of the tutorial. Those that need a kernel are in
// the scripts of integration/vm, and the trial of mode enforce is in a session of digestctl.
func TestTutorialIsRun(t *testing.T) {
	text := func(pattern string) []byte {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		var all []byte
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, data...)
		}
		return all
	}
	scripts, sessions := text("../vm/testdata/*.sh"), text("../../cmd/digestctl/guard/testdata/*.txtar")
	counts := map[string]int{}
	for _, s := range steps(t) {
		counts[s.where]++
		switch s.where {
		case "daemon":
		case "packages":
			if s.command != "rpm -U bin/rpm/*.rpm" {
				t.Errorf("TestPackages does not run %q", s.command)
			}
		case "vm":
			if !runs(scripts, s.command) {
				t.Errorf("no script of integration/vm runs %q", s.command)
			}
		case "session":
			if !runs(sessions, s.command) {
				t.Errorf("no session of digestctl guard runs %q", s.command)
			}
		default:
			t.Errorf("%q is run in %q", s.command, s.where)
		}
	}
	if counts["daemon"] < 20 || counts["vm"] < 4 {
		t.Errorf("the tutorial has these commands: %v", counts)
	}
}

// runs reports whether scripts have a command, which no more words of it follow.
func runs(scripts []byte, command string) bool {
	return regexp.MustCompile(`(?m)` + regexp.QuoteMeta(command) + `($|[^\w-])`).Match(scripts)
}

// followTutorial does what the tutorial says on a machine that has the packages, and sees
// what it shows.
//
// vendor is a directory that has what make tutorial makes.
func (m *machine) followTutorial(vendor string) {
	m.Helper()
	const home = "/root"
	if err := os.MkdirAll(m.path(home), 0o700); err != nil {
		m.Fatal(err)
	}
	command(m.T, "cp", "-r", vendor+"/.", m.path(home))
	bus := bustest.StartIn(m.T, m.path("/run"))
	address := strings.Replace(bus.Address, m.root, "", 1)
	// The packages that the machine has from its distribution.
	distribution, err := pkgtest.NewKey("Distribution", 3072)
	if err != nil {
		m.Fatal(err)
	}
	m.write("/distribution.asc", string(distribution.Armor))
	m.silent("rpm", "--import", "/distribution.asc")
	m.write("/etc/digestd/digestd.conf", "bus = \""+address+"\"\naudit-trail = \"none\"\n")
	defer m.daemon()()
	for _, s := range steps(m.T) {
		if s.where != "daemon" {
			continue
		}
		command := s.command
		if m.name == "host" && strings.HasPrefix(command, "rpm -U") || m.name == "host" && strings.HasPrefix(command, "rpm -e") {
			command += " --force-debian"
		}
		cmd := m.command("sh", "-c", "cd "+home+" && "+command)
		cmd.Env = append(cmd.Env, "DBUS_SYSTEM_BUS_ADDRESS="+address)
		out, err := cmd.CombinedOutput()
		var lines []string
		for line := range strings.Lines(string(out)) {
			if !strings.HasPrefix(line, "rpm: ") {
				lines = append(lines, strings.TrimRight(line, "\n"))
			}
		}
		said := strings.TrimSpace(strings.Join(lines, "\n"))
		if code := cmd.ProcessState.ExitCode(); code != s.exit {
			m.Errorf("%s: exit status %d, want %d (%v)\n%s", s.command, code, s.exit, err, said)
		}
		if !s.seen().MatchString(said) {
			m.Errorf("# %s\n%s\nthe tutorial shows\n%s", s.command, said, strings.Join(s.sees, "\n"))
		}
	}
}
