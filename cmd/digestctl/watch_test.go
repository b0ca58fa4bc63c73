// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/bus/bustest"
	"github.com/google/go-cmp/cmp"
)

// watched is a digestctl watch that runs, and what it prints.
type watched struct {
	*testing.T
	cmd   *exec.Cmd
	lines chan string
}

func startWatch(t *testing.T, w *world, args ...string) *watched {
	t.Helper()
	path, err := exec.LookPath("digestctl")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"watch"}, args...)...)
	cmd.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+w.bus.Address)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	return &watched{t, cmd, lines}
}

// next is the next line, without its time.
func (w *watched) next() string {
	w.Helper()
	select {
	case line, open := <-w.lines:
		if !open {
			w.Fatal("it ended")
		}
		return line
	case <-time.After(time.Minute):
		w.Fatal("nothing came")
	}
	return ""
}

func (w *watched) wants(text string) {
	w.Helper()
	line := w.next()
	const stamp = "2006-01-02 15:04:05"
	if len(line) < len(stamp)+2 {
		w.Fatalf("got %q", line)
	}
	if _, err := time.Parse(stamp, line[:len(stamp)]); err != nil {
		w.Error(err)
	}
	if got := line[len(stamp)+2:]; got != text {
		w.Errorf("got  %q\nwant %q", got, text)
	}
}

// interrupt ends it as a user does, which is no failure.
func (w *watched) interrupt() {
	w.Helper()
	if err := w.cmd.Process.Signal(os.Interrupt); err != nil {
		w.Fatal(err)
	}
	for line := range w.lines {
		w.Errorf("it also said %q", line)
	}
	if err := w.cmd.Wait(); err != nil {
		w.Errorf("it ended with %v", err)
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{bus: bustest.Start(t), daemon: newMemoryDaemon()}
	t.Cleanup(w.stop)
	return w
}

func TestWatch(t *testing.T) {
	w := newWorld(t)
	watch := startWatch(t, w)
	watch.wants("waiting     digestd is not on the bus")
	start := func() {
		t.Helper()
		if err := w.start(); err != nil {
			t.Fatal(err)
		}
		watch.wants("watching    digestd 0.1.0, healthy, 1 active list")
	}
	start()
	w.server.ListPublished("tlv-bash-0:5.2-1.x86_64", "bash-5.2-1.x86_64")
	watch.wants("published   bash-5.2-1.x86_64")
	w.server.ListWithdrawn("tlv-evil-0:1-1.noarch", "evil\x1b[2J-1-1.noarch", "removed")
	watch.wants(`withdrawn   evil\x1b[2J-1-1.noarch: removed`)
	w.server.RollbackRefused("bash-5.1-1.x86_64", "older than 5.2-1")
	watch.wants("refused     bash-5.1-1.x86_64: older than 5.2-1")
	w.server.KeyRevoked(vendorKey, "stolen", 12)
	watch.wants("revoked     key " + vendorKey + ": stolen; lists withdrawn: 12")
	w.server.Denied("d1", "openssl < 3.0.7-18", "CVE-2022-3602")
	watch.wants("denied      openssl < 3.0.7-18: CVE-2022-3602")
	w.server.DenialLifted("d1", "openssl < 3.0.7-18", "mended")
	watch.wants("lifted      the denial of openssl < 3.0.7-18: mended")
	w.server.TamperDetected("tlv-intruder", "")
	watch.wants("tampered    tlv-intruder")
	w.daemon.setVariant("degraded")
	w.server.Changed()
	watch.wants("now         Problems 2, State degraded, Transaction true, Verified " + terminal.Moment(noon) + ", VerifyErrors 3")
	w.daemon.setVariant("")
	w.server.TransactionFinished(3, 1)
	watch.wants("transaction ended: 3 published, 1 withdrawn")
	watch.wants("now         Problems 0, State healthy, Transaction false, Verified never, VerifyErrors 0")

	w.stop()
	watch.wants("left        digestd left the bus")
	start()
	w.server.ListPublished("tlv-bash-0:5.2-2.x86_64", "bash-5.2-2.x86_64")
	watch.wants("published   bash-5.2-2.x86_64")
	watch.interrupt()
}

func TestWatchForPrograms(t *testing.T) {
	w := newWorld(t)
	if err := w.start(); err != nil {
		t.Fatal(err)
	}
	watch := startWatch(t, w, "--json")
	wants := func(want string) {
		t.Helper()
		var got, wanted map[string]any
		line := watch.next()
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if _, err := time.Parse(time.RFC3339Nano, got["time"].(string)); err != nil {
			t.Error(err)
		}
		delete(got, "time")
		if err := json.Unmarshal([]byte(want), &wanted); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(wanted, got); diff != "" {
			t.Errorf("%s:\n%s", line, diff)
		}
	}
	wants(`{"event": "Watching", "fields": {"version": "0.1.0", "state": "healthy", "activeLists": 1}}`)
	w.server.ListWithdrawn("tlv-a-0:1-1.noarch", "a-1-1.noarch", "removed")
	wants(`{"event": "ListWithdrawn", "fields": {"list": "tlv-a-0:1-1.noarch", "nevra": "a-1-1.noarch", "reason": "removed"}}`)
	w.stop()
	wants(`{"event": "Left", "fields": {}}`)
	watch.interrupt()
}
