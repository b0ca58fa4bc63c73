// SPDX-License-Identifier: Apache-2.0

// Package journaltest runs a journald of its own for tests: the real one, which sees a /run and
// /etc that nobody else does, and can be ended and started again. It does not touch this
// machine's journal; the test fills its own.
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

// namespace is how journald calls a journal beside the machine's.
const namespace = "digestd"

// machine is the machine whose journal it is.
const machine = "6d1b2f0e9a7c4f0f8f3d1f0b9f0e7c11"

const enter = `
set -e
mount --bind "$1/run" /run
mount --bind "$1/etc" /etc
exec /usr/lib/systemd/systemd-journald ` + namespace

// patience is how long something that must come true may take.
const patience = time.Minute

// Journal is a journald and what it wrote.
type Journal struct {
	tb    testing.TB
	dir   string
	cmd   *exec.Cmd
	ended chan error
}

// New prepares a journal that nobody takes records for yet.
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

// Dir is where its sockets are, or will be.
func (j *Journal) Dir() string { return filepath.Join(j.dir, "run/systemd/journal."+namespace) }

// Files is where its files are.
func (j *Journal) Files() string {
	return filepath.Join(j.dir, "run/log/journal", machine+"."+namespace)
}

// Start runs journald and returns once it takes records.
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

// answers reports whether somebody listens on both sockets.
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

// Kill ends journald as a fault does.
func (j *Journal) Kill() { j.end(syscall.SIGKILL) }

// Stop ends journald in good order.
func (j *Journal) Stop() { j.end(syscall.SIGTERM) }

func (j *Journal) end(how syscall.Signal) {
	if j.cmd == nil {
		return
	}
	j.cmd.Process.Signal(how)
	<-j.ended
	j.cmd = nil
}

// Pause lets journald take nothing, as on a machine that is out of breath, until
// the function that it returns is called.
func (j *Journal) Pause() (resume func()) {
	process := j.cmd.Process
	process.Signal(syscall.SIGSTOP)
	return func() { process.Signal(syscall.SIGCONT) }
}

// Records returns what was written under one identifier, in order.
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

// text returns a value, which is a list of bytes when journalctl does not take
// it for text.
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
