// SPDX-License-Identifier: Apache-2.0

// Command digestd-guard loads the guard into the kernel, keeps its maps, and does
// there what digestd says. See digestd-guard(8).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/guard"
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
	dir     string
	socket  string
}

// load reads the configuration at path.
func (o *options) load(path string) error {
	c, err := config.Load(path)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	o.strict, o.modules = c.GuardStrict, c.GuardModules
	if o.mode == "" {
		o.mode = c.Guard
	}
	return nil
}

func main() {
	var o options
	path := flag.String("config", config.DefaultPath, "configuration `file`")
	flag.StringVar(&o.mode, "mode", "", "`mode` in the place of that in the configuration: off, audit or enforce")
	flag.StringVar(&o.dir, "dir", bpf.DefaultDir, "`folder` of a BPF file system for programs and maps")
	flag.StringVar(&o.socket, "socket", guard.DefaultSocket, "`socket` to listen at")
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
	if *off {
		err = bpf.Unload(o.dir)
	} else if err = o.load(*path); err == nil {
		err = run(ctx, o, log)
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
