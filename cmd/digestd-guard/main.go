// SPDX-License-Identifier: Apache-2.0

// Command digestd-guard loads the guard into the kernel, keeps its maps, and changes them as
// digestd requests. See digestd-guard(8).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/exempt"
	"github.com/digestd/digestd/kernel/guard/bpf"
)

// Exit statuses, see digestd-guard(8). systemd starts digestd-guard again after the
// last only: no later try succeeds where the kernel lacks something.
const (
	exitUnsuited = 1
	exitUsage    = 2
	exitRun      = 70
)

// options are those of the command line and the configuration.
type options struct {
	mode    string
	modules string
	strict  bool
	seal    bool
	dir     string
	socket  string

	state string // the state directory of digestd
	doubt string // what to do with a snapshot of another commit
	key   string // the certificate of the key that signs snapshots
	hook  string // where digestd listens

	exempt exempt.Settings
}

// load reads the configuration at path.
func (o *options) load(path string) error {
	c, err := config.Load(path)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	o.strict, o.seal, o.modules = c.GuardStrict, c.GuardSeal, c.GuardModules
	o.state, o.doubt, o.hook = c.State, c.GuardDoubt, c.Socket
	o.exempt = exempt.Settings{Runtimes: c.GuardContainers, Named: c.GuardExempt}
	if o.mode == "" {
		o.mode = c.Guard
	}
	return nil
}

// credential is the path of a credential that the service manager gave, "" without one.
func credential(name string) string {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, name)
}

func main() {
	var o options
	path := flag.String("config", config.DefaultPath, "configuration `file`")
	flag.StringVar(&o.mode, "mode", "", "`mode` in the place of that in the configuration: off, audit or enforce")
	flag.StringVar(&o.dir, "dir", bpf.DefaultDir, "`directory` of a BPF file system for programs and maps")
	flag.StringVar(&o.socket, "socket", guard.DefaultSocket, "`socket` to listen at")
	flag.StringVar(&o.key, "key", credential("guard-key"), "`certificate` of the key that signs snapshots")
	host := flag.Bool("host", false, "note the host's mount namespace beside the socket, and end")
	check := flag.Bool("check", false, "check for a guard that waits for it whether files that the machine needs would be refused, and end")
	off := flag.Bool("off", false, "turn the guard off, remove it from the kernel, and end")
	version := flag.Bool("version", false, "print the version and exit")
	flag.Parse()
	if *version {
		fmt.Println("digestd-guard", api.Version)
		return
	}
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(exitUsage)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	var err error
	switch {
	case *host:
		err = tellHost(o.socket)
	case *check:
		if err = o.load(*path); err == nil && o.mode == api.GuardEnforce {
			err = newChecker(o.socket, log).run(ctx)
		}
	case *off:
		err = bpf.Unload(o.dir)
	default:
		if err = o.load(*path); err == nil {
			err = run(ctx, o, log)
		}
	}
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "digestd-guard:", err)
	stop()
	switch {
	case errors.Is(err, errUsage):
		os.Exit(exitUsage)
	case errors.Is(err, bpf.ErrUnsuited), errors.Is(err, bpf.ErrLayout):
		os.Exit(exitUnsuited)
	}
	os.Exit(exitRun)
}
