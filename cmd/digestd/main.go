// SPDX-License-Identifier: Apache-2.0

// Command digestd keeps a machine's digest lists in step with the packages that
// are installed. See digestd(8).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/feed"
	"github.com/digestd/digestd/daemon/look"
	"github.com/digestd/digestd/daemon/verify"
	"github.com/digestd/digestd/daemon/verify/engine"
)

// Exit statuses, see digestd(8). systemd starts digestd again after the second
// only; what keeps it from starting is looked at when somebody next needs it.
const (
	exitStart = 1
	exitRun   = 70
)

func main() {
	// The code that creates a file sets its mode explicitly: a narrower umask would hide lists
	// from the processes that the kernel looks them up for.
	syscall.Umask(0o022)
	if len(os.Args) == 2 && os.Args[1] == verify.Argument {
		serveVerify()
	}
	if len(os.Args) == 3 && os.Args[1] == look.Argument {
		serveLook(os.Args[2])
	}
	if len(os.Args) == 2 && os.Args[1] == feed.Argument {
		serveFeed()
	}
	path := flag.String("config", config.DefaultPath, "configuration `file`")
	verbose := flag.Bool("verbose", false, "log transactions that are not ours, too")
	once := flag.Bool("reconcile", false, "bring the lists in step with rpm's database, and end")
	root := flag.String("root", "/", "with -reconcile: the `directory` whose packages and configuration these are")
	image := flag.String("image", "", "with -reconcile: make the lists of an image, signed by the key in `directory`")
	version := flag.Bool("version", false, "print the version and exit")
	flag.Parse()
	if *version {
		fmt.Println("digestd", api.Version)
		return
	}
	if flag.NArg() > 0 || (*root != "/" || *image != "") && !*once {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	serve := func() error { return run(ctx, *path, *verbose) }
	if *once {
		serve = func() error { return reconcile(ctx, *path, *root, *image, *verbose) }
	}
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "digestd:", err)
		stop()
		if *once || errors.Is(err, errStart) {
			os.Exit(exitStart)
		}
		os.Exit(exitRun)
	}
}

// serveLook is a process in which the daemon looks at files inside of a root.
func serveLook(root string) {
	if err := look.Serve(root, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "digestd: cannot look at files:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serveFeed is the process in which the daemon reads the metadata of repositories.
func serveFeed() {
	if err := feed.Serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "digestd: cannot read a repository:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serveVerify is the process in which the daemon verifies files.
func serveVerify() {
	if err := engine.Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "digestd: cannot verify:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
