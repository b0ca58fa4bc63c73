// SPDX-License-Identifier: Apache-2.0

package ctltest

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

// Update is set by -update: what digestctl prints is to be written into the scripts.
var Update = flag.Bool("update", false, "write what the test compares with into the source tree")

// Main is the whole of a TestMain: digestctl with these verbs is a program on the path
// of tests.
func Main(m *testing.M, verbs func(*cli.App) []*cobra.Command) {
	root := func(a *cli.App) *cobra.Command { return cli.Root(a, verbs(a)...) }
	MainOf(m, root, func() { cli.Main(root) })
}

// MainOf is Main of a digestctl that starts with main, and whose command root makes.
func MainOf(m *testing.M, root func(*cli.App) *cobra.Command, main func()) {
	testscript.Main(m, map[string]func(){"digestctl": func() {
		if slices.Contains(os.Args, "--json") {
			mainForPrograms(root)
		}
		main()
	}})
}

// Scripts runs the sessions of digestctl in testdata, each with a world of its own, which
// more prepares.
func Scripts(t *testing.T, more ...func(*testscript.Env)) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *Update,
		Setup: func(env *testscript.Env) error {
			w := NewWorld(t)
			env.Values[worldKey{}] = w
			env.Defer(w.Stop)
			env.Setenv("DBUS_SYSTEM_BUS_ADDRESS", w.Bus.Address)
			env.Setenv("TZ", "UTC")
			// A program with the race detector would wait a second before it ends.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			for _, prepare := range more {
				prepare(env)
			}
			return w.serve()
		},
		Condition: func(cond string) (bool, error) {
			if cond != "root" {
				return false, fmt.Errorf("unknown condition %s", cond)
			}
			return os.Geteuid() == 0, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"daemon":     daemonCommand,
			"guard":      guardCommand,
			"asnobody":   asNobodyCommand,
			"exits":      exitsCommand,
			"bytes":      bytesCommand,
			"onterminal": onTerminalCommand,
		},
	})
}

type worldKey struct{}

// WorldOf is the world of a script that is prepared.
func WorldOf(env *testscript.Env) *World { return env.Values[worldKey{}].(*World) }

// daemonCommand changes the daemon under a script:
//
//	daemon stop|start      take it off the bus, put it back
//	daemon busy            syncs do not end by themselves
//	daemon wait-for-sync   wait until one runs
//	daemon wait-for-cancel wait until it was cancelled
//	daemon VARIANT         answer otherwise; see Daemon
func daemonCommand(ts *testscript.TestScript, neg bool, args []string) {
	w := ts.Value(worldKey{}).(*World)
	if neg || len(args) != 1 {
		ts.Fatalf("usage: daemon stop|start|VARIANT")
	}
	switch args[0] {
	case "stop":
		w.Stop()
	case "start":
		ts.Check(w.serve())
	case "wait-for-sync":
		await(ts, w.Daemon.Syncing)
	case "wait-for-cancel":
		await(ts, w.Daemon.Cancelled)
	default:
		w.Daemon.Vary(args[0])
	}
}

func await(ts *testscript.TestScript, happens func(most time.Duration) bool) {
	if !happens(10 * time.Second) {
		ts.Fatalf("it did not happen")
	}
}

// exitsCommand runs a program that must end with an exit code:
//
//	exits CODE PROGRAM ARGUMENT...
func exitsCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGUMENT...")
	}
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// bytesCommand writes a file of hexadecimal digits, with spaces between them:
//
//	bytes FILE DIGITS...
func bytesCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: bytes FILE DIGITS...")
	}
	data, err := hex.DecodeString(strings.Join(args[1:], ""))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o644))
}

// asNobodyCommand runs digestctl as an ordinary user. The program is opened
// before, for that user cannot reach the directory it lies in.
func asNobodyCommand(ts *testscript.TestScript, neg bool, args []string) {
	path, err := exec.LookPath("digestctl")
	ts.Check(err)
	program, err := os.Open(path)
	ts.Check(err)
	defer program.Close()
	// A program that counts coverage complains where it cannot write it.
	coverage, err := os.MkdirTemp("", "digestctl-coverage-")
	ts.Check(err)
	defer os.RemoveAll(coverage)
	ts.Check(os.Chmod(coverage, 0o777))
	var out, errOut strings.Builder
	cmd := &exec.Cmd{
		Path: "/proc/self/fd/3", Args: append([]string{"digestctl"}, args...), Dir: "/",
		Env:    []string{"DBUS_SYSTEM_BUS_ADDRESS=" + ts.Getenv("DBUS_SYSTEM_BUS_ADDRESS"), "GOCOVERDIR=" + coverage},
		Stdout: &out, Stderr: &errOut, ExtraFiles: []*os.File{program},
		SysProcAttr: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}},
	}
	err = cmd.Run()
	fmt.Fprint(ts.Stdout(), out.String())
	fmt.Fprint(ts.Stderr(), errOut.String())
	var exit *exec.ExitError
	switch {
	case err == nil && neg:
		ts.Fatalf("unexpected success")
	case errors.As(err, &exit) && neg:
		fmt.Fprintf(ts.Stdout(), "exit code %d\n", exit.ExitCode())
	case err != nil:
		ts.Fatalf("%v\n%s", err, errOut.String())
	}
}
