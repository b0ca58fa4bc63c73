// SPDX-License-Identifier: Apache-2.0

package ctltest

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"
)

// Watch is a digestctl watch that runs, and what it prints.
type Watch struct {
	testing.TB
	cmd   *exec.Cmd
	lines chan string
}

// Watch runs digestctl watch, which ends with the test at the latest.
func (w *World) Watch(args ...string) *Watch {
	w.tb.Helper()
	cmd := w.Digestctl(append([]string{"watch"}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		w.tb.Fatal(err)
	}
	return w.watch(cmd, out)
}

// WatchOnTerminal is Watch on a terminal of so many columns.
func (w *World) WatchOnTerminal(columns uint16, args ...string) *Watch {
	w.tb.Helper()
	screen, terminal, err := OpenTerminal(columns)
	if err != nil {
		w.tb.Fatal(err)
	}
	defer terminal.Close()
	w.tb.Cleanup(func() { screen.Close() })
	cmd := w.Digestctl(append([]string{"watch"}, args...)...)
	cmd.Stdout = terminal
	return w.watch(cmd, screen)
}

func (w *World) watch(cmd *exec.Cmd, out io.Reader) *Watch {
	w.tb.Helper()
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		w.tb.Fatal(err)
	}
	w.tb.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	return &Watch{w.tb, cmd, lines}
}

// Next is the next line.
func (w *Watch) Next() string {
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

// Wants compares the next line with a text, without its time.
func (w *Watch) Wants(text string) {
	w.Helper()
	line := w.Next()
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

// Interrupt ends it as a user does, which is no failure.
func (w *Watch) Interrupt() {
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
