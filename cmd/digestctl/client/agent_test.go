// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"bytes"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/digestd/digestd/cmd/digestctl/ctltest"
	"github.com/digestd/digestd/integration/needs"
)

// On a terminal polkit's own agent asks an ordinary user for the password of an
// administrator, and interrupting the question decides nothing.
func TestAgentAsksOnTerminal(t *testing.T) {
	needs.Root(t)
	w := ctltest.NewWorld(t)
	w.Bus.Polkit("../../../systemd/org.digestd1.policy", `polkit.addAdminRule(function(action, subject) { return ["unix-user:0"]; });`)
	w.Start()
	path, err := exec.LookPath("digestctl")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	screen, terminal, err := ctltest.OpenTerminal(120)
	if err != nil {
		t.Fatal(err)
	}
	defer screen.Close()
	if err := terminal.Chown(65534, -1); err != nil {
		t.Fatal(err)
	}
	cmd := &exec.Cmd{
		Path: "/proc/self/fd/3", Args: []string{"digestctl", "rollback", "grant", "bash-5.1-2.x86_64", "--reason", "mine"}, Dir: "/",
		Env:   []string{"DBUS_SYSTEM_BUS_ADDRESS=" + w.Bus.Address, "TERM=xterm", "LC_ALL=C", "PATH=" + os.Getenv("PATH")},
		Stdin: terminal, Stdout: terminal, Stderr: terminal, ExtraFiles: []*os.File{program},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Setctty: true, Credential: &syscall.Credential{Uid: 65534, Gid: 65534}},
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	terminal.Close()
	defer time.AfterFunc(time.Minute, func() { cmd.Process.Kill() }).Stop()
	var shown bytes.Buffer
	buf := make([]byte, 4096)
	for asked := false; ; {
		n, err := screen.Read(buf)
		shown.Write(buf[:n])
		if !asked && bytes.Contains(shown.Bytes(), []byte("assword")) {
			asked = true
			if _, err := screen.Write([]byte{3}); err != nil { // Ctrl-C
				t.Fatal(err)
			}
		}
		if err != nil {
			break // nobody writes to the terminal any more
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Error("it was granted")
	}
	for _, want := range []string{"org.digestd1.rollback", "decide whether an older version may come back: bash-5.1-2.x86_64"} {
		if !bytes.Contains(shown.Bytes(), []byte(want)) {
			t.Errorf("the terminal does not show %q:\n%s", want, shown.String())
		}
	}
	if log, _, err := w.Daemon.RollbackLog(t.Context(), 0, 1); err != nil || len(log) > 0 {
		t.Errorf("it was recorded: %+v, %v", log, err)
	}
}
