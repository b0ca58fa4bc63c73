// SPDX-License-Identifier: Apache-2.0

// Package bustest runs a private message bus for tests: the real dbus-daemon,
// with a configuration that lets every user in and, unless a test asks for the
// strictness of a system bus, do everything. On it may run the real polkitd. It
// leaves everything else on the bus to the test.
package bustest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const config = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path=%s</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    %s
  </policy>
  %s
</busconfig>
`

// open lets everybody do everything.
const open = `
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow receive_sender="*" eavesdrop="true"/>
`

// strict is what a system bus allows before packages add to it.
const strict = `
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Introspectable"/>
`

// Bus is a private bus that can be stopped and started at the same address.
type Bus struct {
	Address string
	tb      testing.TB
	config  string
	cmd     *exec.Cmd
}

// New prepares a bus that is not running yet, with more rules of its policy.
// Its directory is open to all users, so that a test can call as one of them.
func New(tb testing.TB, rules ...string) *Bus {
	tb.Helper()
	return prepare(tb, "", open+strings.Join(rules, "\n"), "")
}

// StartStrict runs a bus that allows what a system bus does and what the policy
// file adds, and starts the services that are described in a directory.
func StartStrict(tb testing.TB, policy, services string) *Bus {
	tb.Helper()
	path, err := filepath.Abs(policy)
	if err != nil {
		tb.Fatal(err)
	}
	b := prepare(tb, "", strict, "<servicedir>"+services+"</servicedir>\n  <include>"+path+"</include>")
	b.Start()
	return b
}

func prepare(tb testing.TB, parent, policy, more string) *Bus {
	tb.Helper()
	dir, err := os.MkdirTemp(parent, "digestd-bus-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	socket := filepath.Join(dir, "bus")
	b := &Bus{Address: "unix:path=" + socket, tb: tb, config: filepath.Join(dir, "bus.conf")}
	if err := os.WriteFile(b.config, fmt.Appendf(nil, config, socket, policy, more), 0o644); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(b.Stop)
	return b
}

// Start runs a bus and returns once it takes connections.
func Start(tb testing.TB, rules ...string) *Bus {
	tb.Helper()
	b := New(tb, rules...)
	b.Start()
	return b
}

// StartIn is Start for a bus whose socket lies below parent: in the root of
// programs that see nothing else.
func StartIn(tb testing.TB, parent string, rules ...string) *Bus {
	tb.Helper()
	b := prepare(tb, parent, open+strings.Join(rules, "\n"), "")
	b.Start()
	return b
}

// Start runs the bus.
func (b *Bus) Start() {
	b.tb.Helper()
	os.Remove(strings.TrimPrefix(b.Address, "unix:path="))
	b.cmd = exec.Command("dbus-daemon", "--config-file="+b.config, "--nofork", "--nopidfile", "--nosyslog", "--print-address")
	// It warns users who may not raise limits; a test does not need that.
	var errors strings.Builder
	b.cmd.Stderr = &errors
	// Its children may outlive it for a moment and keep its output open.
	b.cmd.WaitDelay = time.Second
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		b.tb.Fatal(err)
	}
	if err := b.cmd.Start(); err != nil {
		b.tb.Fatalf("cannot run dbus-daemon: %v", err)
	}
	timer := time.AfterFunc(10*time.Second, func() { b.cmd.Process.Kill() })
	defer timer.Stop()
	// It prints its address when it listens.
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		b.cmd.Process.Kill()
		b.cmd.Wait()
		b.tb.Fatalf("dbus-daemon did not start: %v\n%s", err, errors.String())
	}
}

// Stop ends the bus and every connection to it.
func (b *Bus) Stop() {
	if b.cmd == nil {
		return
	}
	b.cmd.Process.Kill()
	b.cmd.Wait()
	b.cmd = nil
}
