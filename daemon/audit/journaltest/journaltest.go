// SPDX-License-Identifier: Apache-2.0

// Package journaltest runs a private journald for tests. It is the real program, with a /run and
// /etc of its own, and can be stopped and started again. It never touches the journal of this
// machine.
package journaltest

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// namespace is the name of the private journal.
const namespace = "digestd"

// machine is the machine ID of the private journal.
const machine = "6d1b2f0e9a7c4f0f8f3d1f0b9f0e7c11"

const enter = `
set -e
mount --bind "$1/run" /run
mount --bind "$1/etc" /etc
exec /usr/lib/systemd/systemd-journald ` + namespace

// patience bounds the wait for a condition that must become true.
const patience = time.Minute

// Journal is a private journald and its files.
type Journal struct {
	tb    testing.TB
	dir   string
	cmd   *exec.Cmd
	ended chan error
}

// New prepares a journal whose journald does not run yet.
func New(tb testing.TB) *Journal {
	tb.Helper()
	// A socket's path must be short.
	dir, err := os.MkdirTemp("/tmp", "journal-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	for name, content := range map[string]string{
		"run/systemd/.keep": "",
		"etc/machine-id":    machine + "\n",
		"etc/passwd":        "root:x:0:0::/:/bin/sh\n",
		"etc/group":         "root:x:0:\n",
		"etc/hostname":      "machine\n",
		"etc/nsswitch.conf": "passwd: files\ngroup: files\n",
		"etc/systemd/journald@" + namespace + ".conf": "[Journal]\nStorage=volatile\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	j := &Journal{tb: tb, dir: dir}
	tb.Cleanup(j.Kill)
	return j
}

// Dir returns the directory of its sockets, which exist while journald runs.
func (j *Journal) Dir() string { return filepath.Join(j.dir, "run/systemd/journal."+namespace) }

// Files returns the directory of its files.
func (j *Journal) Files() string {
	return filepath.Join(j.dir, "run/log/journal", machine+"."+namespace)
}

// Start starts journald and returns when it accepts records.
func (j *Journal) Start() {
	j.tb.Helper()
	cmd := exec.Command("unshare", "--mount", "sh", "-c", enter, "sh", j.dir)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		j.tb.Fatalf("cannot run journald: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	j.cmd, j.ended = cmd, ended
	for end := time.Now().Add(patience); !j.answers(); time.Sleep(10 * time.Millisecond) {
		select {
		case err := <-ended:
			j.cmd = nil
			j.tb.Fatalf("journald ended: %v\n%s", err, output.String())
		default:
		}
		if time.Now().After(end) {
			j.tb.Fatal("journald does not take records")
		}
	}
}

// answers reports whether both sockets accept connections.
func (j *Journal) answers() bool {
	for network, name := range map[string]string{"unixgram": "socket", "unix": "io.systemd.journal"} {
		conn, err := net.Dial(network, filepath.Join(j.Dir(), name))
		if err != nil {
			return false
		}
		conn.Close()
	}
	return true
}

// Kill kills journald.
func (j *Journal) Kill() { j.end(syscall.SIGKILL) }

// Stop ends journald in an orderly way.
func (j *Journal) Stop() { j.end(syscall.SIGTERM) }

func (j *Journal) end(how syscall.Signal) {
	if j.cmd == nil {
		return
	}
	j.cmd.Process.Signal(how)
	<-j.ended
	j.cmd = nil
}

// Pause stops journald from reading, as on an overloaded machine, until the returned function is
// called.
func (j *Journal) Pause() (resume func()) {
	process := j.cmd.Process
	process.Signal(syscall.SIGSTOP)
	return func() { process.Signal(syscall.SIGCONT) }
}

// Records returns the records with that identifier, in order.
func (j *Journal) Records(identifier string) []map[string]string {
	j.tb.Helper()
	cmd := exec.Command("journalctl", "--directory="+j.Files(), "--output=json", "--all", "--no-pager", "--quiet", "SYSLOG_IDENTIFIER="+identifier)
	out, err := cmd.Output()
	if _, failed := err.(*exec.ExitError); err != nil && !failed {
		j.tb.Fatal(err)
	}
	var records []map[string]string
	for line := range bytes.Lines(out) {
		var raw map[string]any
		if err := json.Unmarshal(line, &raw); err != nil {
			j.tb.Fatalf("journalctl: %v: %s", err, line)
		}
		record := map[string]string{}
		for name, v := range raw {
			record[name] = text(v)
		}
		records = append(records, record)
	}
	return records
}

// text returns a field's value as text; journalctl prints bytes that are not text as a list of
// numbers.
func text(v any) string {
	list, ok := v.([]any)
	if !ok {
		s, _ := v.(string)
		return s
	}
	var b []byte
	for _, x := range list {
		n, _ := x.(float64)
		b = append(b, byte(n))
	}
	return string(b)
}
