// SPDX-License-Identifier: Apache-2.0

// Command digestd-hook is what the plugins of dnf and dnf5 run: it asks digestd
// about a whole transaction before anything is downloaded, and tells it when one
// has ended. docs/protocol.md describes its forms.
//
// It promises to end within its budget whatever the daemon does, and to refuse
// only by the daemon's word or the administrator's (on-unreachable). What rpm
// itself does is the rpm plugin's to watch: where that is not loaded, nobody is
// asked.
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

const usage = `usage: digestd-hook dnf4|dnf5|changed ROOT
It is run by the plugins of dnf and dnf5.`

// refused is the exit code of "dnf4" when its output says why not.
const refused = 3

func main() {
	code, err := run(context.Background(), os.Args[1:], os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "digestd-hook:", err)
		code = 1
	}
	os.Exit(code)
}

func run(ctx context.Context, args []string, in io.Reader, out io.WriteCloser) (code int, err error) {
	if len(args) != 2 {
		return 2, fmt.Errorf("%s", usage)
	}
	r, err := openRoot(args[1])
	if err != nil {
		return 1, err
	}
	o, loaded := readOptions(ctx)
	if !loaded {
		return 0, nil
	}
	switch args[0] {
	case "dnf4":
		packages, err := readPackages(in)
		if err != nil {
			return 1, err
		}
		if why := o.ask(ctx, "dnf4", r, packages); len(why) > 0 {
			_, err := fmt.Fprintln(out, strings.Join(why, "\n"))
			return refused, err
		}
		return 0, nil
	case "dnf5":
		a := actions{in: in, out: out}
		defer a.finish()
		packages, err := a.packages()
		if err != nil {
			return 1, err
		}
		if why := o.ask(ctx, "dnf5", r, packages); len(why) > 0 {
			return 0, a.stop(strings.Join(why, "\n"))
		}
		return 0, nil
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

// elements are what a transaction does, in the words of the protocol.
func elements(packages []pkg) ([]wire.Element, error) {
	var all []wire.Element
	for _, p := range packages {
		e, err := p.element()
		if err != nil {
			return nil, err
		}
		if e.Type != 0 {
			all = append(all, e)
		}
	}
	return all, nil
}
