// SPDX-License-Identifier: Apache-2.0

package client

import (
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/digestd/digestd/cmd/digestctl/terminal"
)

// agentTime bounds the start of pkttyagent.
const agentTime = 5 * time.Second

// startAgent runs polkit's agent for terminals, which asks for a password if no desktop does.
// stop ends it. Without a terminal or without the program it does nothing.
func startAgent() (stop func()) {
	nothing := func() {}
	if !terminal.Is(os.Stdin) || !terminal.Is(os.Stderr) {
		return nothing
	}
	ready, notify, err := os.Pipe()
	if err != nil {
		return nothing
	}
	defer ready.Close()
	args := []string{"--process", strconv.Itoa(os.Getpid()), "--notify-fd", "3"}
	if os.Getenv("XDG_SESSION_ID") != "" {
		// The desktop's agent comes first; polkit knows such of sessions only.
		args = append(args, "--fallback")
	}
	cmd := exec.Command("pkttyagent", args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = os.Stdin, os.Stdout, os.Stderr, []*os.File{notify}
	err = cmd.Start()
	notify.Close()
	if err != nil {
		return nothing
	}
	// It closes the pipe once it is registered, or could not be.
	ready.SetReadDeadline(time.Now().Add(agentTime))
	io.Copy(io.Discard, ready)
	return func() {
		// An end in good order gives the terminal its echo back.
		cmd.Process.Signal(os.Interrupt)
		timer := time.AfterFunc(time.Second, func() { cmd.Process.Kill() })
		cmd.Wait()
		timer.Stop()
	}
}
