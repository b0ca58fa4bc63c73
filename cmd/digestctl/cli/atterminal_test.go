// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/digestd/digestd/cmd/digestctl/ctltest"
)

// A shell at a terminal completes the name of a package when a tabulator is
// typed, after some words of the command's own.
func TestCompletionAtATerminal(t *testing.T) {
	w := ctltest.NewWorld(t)
	w.Start()
	dir := t.TempDir()
	script, err := exec.Command("digestctl", "completion", "bash").Output()
	if err != nil {
		t.Fatal(err)
	}
	rc := "PS1='ready> '\nsource /usr/share/bash-completion/bash_completion\n" + string(script)
	if err := os.WriteFile(filepath.Join(dir, "rc"), []byte(rc), 0o600); err != nil {
		t.Fatal(err)
	}
	screen, terminal, err := ctltest.OpenTerminal(200)
	if err != nil {
		t.Fatal(err)
	}
	defer screen.Close()
	bash := exec.Command("bash", "--rcfile", filepath.Join(dir, "rc"), "-i")
	bash.Dir = dir
	bash.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+w.Bus.Address, "TERM=dumb", "HOME="+dir, "INPUTRC=/dev/null", "LC_ALL=C", "GORACE=atexit_sleep_ms=0")
	bash.Stdin, bash.Stdout, bash.Stderr = terminal, terminal, terminal
	bash.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := bash.Start(); err != nil {
		t.Fatal(err)
	}
	terminal.Close()
	defer bash.Wait()
	defer bash.Process.Kill()

	shown := make(chan string)
	go func() {
		defer close(shown)
		buf := make([]byte, 4096)
		for {
			n, err := screen.Read(buf)
			if err != nil {
				return
			}
			shown <- string(buf[:n])
		}
	}()
	text := ""
	until := func(want string) {
		t.Helper()
		late := time.After(time.Minute)
		for !strings.Contains(text, want) {
			select {
			case s, open := <-shown:
				if !open {
					t.Fatalf("bash ended after %q", text)
				}
				text += s
			case <-late:
				t.Fatalf("%q did not come, but %q", want, text)
			}
		}
	}
	until("ready> ")
	screen.WriteString("digestctl sho\t")
	until("digestctl show ")
	screen.WriteString("ba\t")
	until("digestctl show bash ")
	screen.WriteString("\n")
	until("bash-5.2-1.x86_64: active")
}
