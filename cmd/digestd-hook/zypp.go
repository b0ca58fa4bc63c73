// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// zyppBudget is shorter than the 30 seconds for which libzypp waits for a plugin.
const zyppBudget = 20 * time.Second

// commit is libzypp's commit plugin, for as long as libzypp keeps it.
type commit struct {
	options
	silent bool // rpm's plugin is not loaded: nobody is asked
	root   root
	stop   func(why []string) // ends the transaction, and says why
}

// serve answers libzypp until it hangs up. libzypp has no answer by which a plugin
// could end a transaction, and only logs an error: so every answer here is an
// acknowledgement, stop ends a transaction that digestd refuses, and rpm's plugin
// refuses the packages of one that goes on nevertheless.
func (c commit) serve(ctx context.Context, f *frames) error {
	c.budget = min(c.budget, zyppBudget)
	for {
		m, err := f.read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !c.silent {
			if err := c.take(ctx, m); err != nil {
				fmt.Fprintln(os.Stderr, "digestd-hook:", err) // which libzypp logs
			}
		}
		var headers []string
		if m.command == "_DISCONNECT" {
			headers = []string{"exit:0"}
		}
		if err := f.answer("ACK", headers...); err != nil || headers != nil {
			return err
		}
	}
}

func (c commit) take(ctx context.Context, m frame) error {
	switch m.command {
	case "COMMITBEGIN":
		packages, err := zyppPackages(m.body)
		if err != nil {
			return err // a frame that this cannot read is no reason to refuse
		}
		if why, _ := c.ask(ctx, "zypper", c.root, packages); len(why) > 0 {
			c.stop(why)
		}
	case "COMMITEND":
		return c.hint(ctx, c.root)
	}
	return nil
}

// zyppStep is a step of a transaction, as libzypp writes it.
type zyppStep struct {
	Type     string `json:"type"`
	Solvable struct {
		Name    word `json:"n"`
		Epoch   word `json:"e"`
		Version word `json:"v"`
		Release word `json:"r"`
		Arch    word `json:"a"`
	} `json:"solvable"`
}

// word is a JSON string, or a number as it was written.
type word string

func (w *word) UnmarshalJSON(data []byte) error {
	var s string
	if json.Unmarshal(data, &s) == nil {
		*w = word(s)
		return nil
	}
	var n json.Number
	err := json.Unmarshal(data, &n)
	*w = word(n)
	return err
}

// zyppPackages are the packages of a transaction that come or go. A patch, pattern
// or product has a kind before its name; a source package is not installed by rpm.
func zyppPackages(body []byte) ([]pkg, error) {
	var all struct {
		Steps []zyppStep `json:"TransactionStepList"`
	}
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, fmt.Errorf("cannot read the transaction: %w", err)
	}
	actions := map[string]string{"+": "I", "M": "I", "-": "E"}
	var packages []pkg
	for _, s := range all.Steps {
		action, what := actions[s.Type], s.Solvable
		if action == "" || strings.Contains(string(what.Name), ":") || what.Arch == "src" || what.Arch == "nosrc" {
			continue
		}
		packages = append(packages, pkg{
			Action: action, Name: string(what.Name), Epoch: string(what.Epoch),
			Version: string(what.Version), Release: string(what.Release), Arch: string(what.Arch),
		})
	}
	return packages, nil
}

// pollable returns another descriptor of a standard stream, whose reads and writes end at their
// deadlines. It leaves other files than pipes as they are.
func pollable(f *os.File) *os.File {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return f
	}
	if unix.SetNonblock(fd, true) != nil {
		unix.Close(fd)
		return f
	}
	return os.NewFile(uintptr(fd), f.Name())
}
