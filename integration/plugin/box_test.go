// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/integration/pkgtest"
	"golang.org/x/sys/unix"
)

// box is an empty root on a machine, and a server that its transactions are
// told to. The server's socket lies outside the root, as the real one would.
type box struct {
	*server
	behaviour // of the server, from the next run on
	t         *testing.T
	m         *machine
	dir       string   // as the machine sees it
	options   string   // of the plugin, besides socket
	extra     []string // arguments of rpm
	env       []string
}

func newBox(t *testing.T, m *machine) *box {
	t.Helper()
	dir, err := os.MkdirTemp(m.Outside(m.dir), "box-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Mkdir(filepath.Join(dir, "root"), 0o755); err != nil {
		t.Fatal(err)
	}
	return &box{
		server: newServer(t, filepath.Join(dir, "sock")),
		t:      t, m: m, dir: filepath.Join(m.dir, filepath.Base(dir)), env: m.env,
	}
}

// result is what a run of rpm left behind.
type result struct {
	code   int
	lines  []string // of standard error
	stdout string
	took   time.Duration
}

// macros configure rpm to use the box's database and the plugin.
func (b *box) macros() []string {
	plugins := filepath.Join(b.m.dir, "plugin")
	return []string{
		"_dbpath /var/lib/rpm",
		"__plugindir " + plugins,
		"__transaction_digestd " + plugins + "/digestd.so socket=" + b.socket() + " " + b.options,
	}
}

// rpm runs rpm on the box's root with the plugin. An argument such as plain-1
// stands for that package's file after -U and -i.
func (b *box) rpm(args ...string) result {
	b.t.Helper()
	return b.run(b.command(args...))
}

func (b *box) command(args ...string) *exec.Cmd {
	all := []string{"--root", filepath.Join(b.dir, "root")}
	for _, macro := range b.macros() {
		all = append(all, "--define", macro)
	}
	all = append(all, b.extra...)
	for i, a := range args {
		if i > 0 && (args[0] == "-U" || args[0] == "-i") && a[0] != '-' && a[0] != '_' && a[0] != '/' {
			a = filepath.Join(b.m.dir, "packages", packageFile(a))
		}
		all = append(all, a)
	}
	return b.m.Command("rpm", all...)
}

func (b *box) run(cmd *exec.Cmd) result {
	b.t.Helper()
	b.behave(b.behaviour)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = append(cmd.Env, b.env...)
	start := time.Now()
	err := cmd.Run()
	r := result{took: time.Since(start), stdout: stdout.String()}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		r.code = exit.ExitCode()
	} else if err != nil {
		b.t.Fatal(err)
	}
	for line := range strings.Lines(stderr.String()) {
		line = strings.TrimSpace(line)
		// Debian's rpm asks to be left alone, and a sanitizer misses /proc in a chroot.
		if line != "" && !strings.HasPrefix(line, "rpm: ") && !strings.Contains(line, "reading executable name failed") {
			r.lines = append(r.lines, line)
		}
	}
	return r
}

// ok runs rpm and wants success, and silence.
func (b *box) ok(args ...string) result {
	b.t.Helper()
	r := b.rpm(args...)
	if r.code != 0 || len(r.lines) > 0 {
		b.t.Fatalf("rpm %s: code %d, said:\n%s", strings.Join(args, " "), r.code, strings.Join(r.lines, "\n"))
	}
	return r
}

// digestd returns what the plugin said.
func (r result) digestd() (lines []string) {
	for _, l := range r.lines {
		if strings.Contains(l, "digestd: ") {
			lines = append(lines, l)
		}
	}
	return lines
}

func (b *box) socket() string { return filepath.Join(b.dir, "sock") }

// path is how this process names a path in the box's root.
func (b *box) path(p string) string { return b.m.Outside(filepath.Join(b.dir, "root", p)) }

// installed lists the packages in the box's database.
func (b *box) installed() string {
	b.t.Helper()
	r := b.rpm("-q", "-a", "--qf", "%{name}-%{version} ")
	return strings.Join(strings.Fields(r.stdout), " ")
}

func (b *box) exists(p string) bool {
	_, err := os.Lstat(b.path(p))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.t.Fatal(err)
	}
	return err == nil
}

// label returns the label of a file, "" if it has none.
func (b *box) label(p string) string {
	b.t.Helper()
	label, err := pkgtest.Label(b.path(p))
	if err != nil {
		b.t.Fatalf("cannot read label of %s: %v", p, err)
	}
	return label
}

func (b *box) setLabel(p, label string) {
	b.t.Helper()
	if err := unix.Lsetxattr(b.path(p), pkgtest.LabelName, []byte(label), 0); err != nil {
		b.t.Fatalf("cannot label %s: %v", p, err)
	}
}
