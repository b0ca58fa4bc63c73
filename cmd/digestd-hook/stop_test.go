// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets this program stand for zypper, and for the hook that zypper runs.
func TestMain(m *testing.M) {
	const patience = 30 * time.Second
	switch os.Getenv("HOOK_TEST") {
	case "deaf":
		signal.Ignore(syscall.SIGHUP)
		fallthrough
	case "zypper":
		// A Go program does not die of SIGHUP while signals are caught, as they are not here.
		hook := exec.Command("/proc/self/exe")
		hook.Env = []string{"HOOK_TEST=hook"}
		if err := hook.Run(); err != nil {
			os.Exit(2)
		}
		time.Sleep(time.Second)
		os.Exit(0)
	case "hook":
		time.AfterFunc(patience, func() { os.Exit(3) })
		endZypper([]string{"digestd: no", "digestd: really"})
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestEndZypper(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// A program that starts where SIGHUP is ignored, as under nohup, would ignore it too.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	defer signal.Reset(syscall.SIGHUP)
	for _, tc := range []struct {
		name, as string
		want     syscall.Signal // 0: it lives
	}{
		{"zypper", "zypper", syscall.SIGHUP},
		{"zypper", "deaf", syscall.SIGKILL},
		{"packagekitd", "zypper", 0},
	} {
		t.Run(tc.name+" "+tc.as, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), tc.name)
			if err := os.Link(self, program); errors.Is(err, syscall.EXDEV) {
				err = exec.Command("cp", self, program).Run()
				if err != nil {
					t.Fatal(err)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(program)
			cmd.Env = []string{"HOOK_TEST=" + tc.as}
			var said bytes.Buffer
			cmd.Stderr = &said // a pipe
			err := cmd.Run()
			status := cmd.ProcessState.Sys().(syscall.WaitStatus)
			if tc.want == 0 && err != nil || status.Signal() != tc.want && tc.want != 0 {
				t.Errorf("%v, want signal %d", err, tc.want)
			}
			if got := strings.Contains(said.String(), "\ndigestd: no\ndigestd: really\ndigestd: zypper is stopped before it changes anything.\n"); got != (tc.want != 0) {
				t.Errorf("said %q", said.String())
			}
		})
	}
}
