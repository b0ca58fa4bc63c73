// SPDX-License-Identifier: Apache-2.0

// Command digestd-hook is run by the plugins of dnf, dnf5, libzypp and tukit: it asks digestd
// about a whole transaction before anything is downloaded or changed, about its packages after
// the download, and reports the end of the transaction. docs/protocol.md describes its forms.
//
// It promises to end within its budget regardless of the daemon, and to refuse only if the
// daemon says so, or the administrator did (on-unreachable). The rpm plugin watches rpm itself:
// if it is not loaded, nobody is asked.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/digestd/digestd/hooks/wire"
)

const usage = `usage: digestd-hook dnf4|zypp|changed ROOT | dnf5 ROOT [CACHE] | tukit STAGE [ARGUMENT...]
It is run by the plugins of dnf, dnf5, libzypp and tukit.`

// The exit codes of "dnf4" besides success and failure.
const (
	exitRefused = 3 // its output says why
	exitAway    = 4 // the daemon does not answer, and need not
)

func main() {
	in, out := os.Stdin, os.Stdout
	if len(os.Args) > 1 && os.Args[1] == "zypp" {
		in, out = pollable(in), pollable(out)
	}
	code, err := run(context.Background(), os.Args[1:], in, out)
	if err != nil {
		fmt.Fprintln(os.Stderr, "digestd-hook:", err)
		code = 1
	}
	os.Exit(code)
}

func run(ctx context.Context, args []string, in io.Reader, out io.WriteCloser) (code int, err error) {
	snapshot := len(args) >= 2 && args[0] == "tukit"
	if len(args) != 2 && (len(args) != 3 || args[0] != "dnf5") && !snapshot {
		return 2, fmt.Errorf("%s", usage)
	}
	path := args[1]
	if snapshot {
		path = "/" // tukit runs outside of the snapshot
	}
	r, err := openRoot(path)
	if err != nil {
		return 1, err
	}
	o, loaded := readOptions(ctx)
	if args[0] == "zypp" {
		c := commit{options: o, silent: !loaded, root: r, stop: endZypper}
		return 0, c.serve(ctx, newFrames(in, out))
	}
	if !loaded {
		return 0, nil
	}
	switch args[0] {
	case "dnf4":
		packages, err := readPackages(in)
		if err != nil {
			return 1, err
		}
		why, away := o.ask(ctx, "dnf4", r, packages)
		switch {
		case len(why) > 0:
			_, err := fmt.Fprintln(out, strings.Join(why, "\n"))
			return exitRefused, err
		case away:
			return exitAway, nil
		}
		return 0, nil
	case "dnf5":
		a := actions{in: in, out: out}
		defer a.finish()
		packages, err := a.packages()
		if err != nil {
			return 1, err
		}
		if len(args) == 3 {
			for i, p := range packages {
				packages[i].File = find(args[2], p)
			}
		}
		if why, _ := o.ask(ctx, "dnf5", r, packages); len(why) > 0 {
			return 0, a.stop(strings.Join(why, "\n"))
		}
		return 0, nil
	case "tukit":
		return 0, o.tukit(ctx, r, args[1:], out)
	case "changed":
		return 0, o.hint(ctx, r)
	}
	return 2, fmt.Errorf("%s", usage)
}

// root is the tree that a transaction is about, by name and identity.
type root struct {
	path     string
	dev, ino uint64
}

func openRoot(path string) (root, error) {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return root{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return root{path, st.Dev, st.Ino}, nil
}

// elements are what a transaction does, in the words of the protocol, and the
// files of what it adds, where they are known.
func elements(packages []pkg) (all []wire.Element, files map[uint32]string, err error) {
	files = map[uint32]string{}
	for _, p := range packages {
		e, err := p.element()
		if err != nil {
			return nil, nil, err
		}
		if e.Type == 0 {
			continue
		}
		if e.Type == wire.Added && p.File != "" {
			files[uint32(len(all))] = p.File
		}
		all = append(all, e)
	}
	return all, files, nil
}
