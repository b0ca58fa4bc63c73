// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/digestd/digestd/kernel/confine"
)

// queryTime bounds reading a database of rpm.
const queryTime = time.Minute

// maxQuery bounds what rpm may print about a database: 100 bytes for each package.
const maxQuery = 64 << 20

// tukit is a plugin of transactional-update: it reports what digestd would refuse of a
// snapshot that is about to be closed. tukit calls it with a stage and, if the snapshot
// exists, with its path and number. It ignores the exit codes of plugins and logs their
// output, so that a refusal is a line of output and no failure.
func (o options) tukit(ctx context.Context, running root, args []string, out io.Writer) error {
	if args[0] != "finalize-pre" || len(args) < 3 {
		return nil
	}
	path, number := args[1], args[2]
	packages, err := changes(ctx, running.path, path)
	if err != nil {
		return err
	}
	o.refuse = false // without an answer of digestd there is nothing to report
	why, _ := o.ask(ctx, "tukit", running, packages)
	if len(why) == 0 {
		return nil
	}
	_, err = fmt.Fprintf(out, "%s\ndigestd: when snapshot %s is booted, packages that are refused here get no digest lists.\n",
		strings.Join(why, "\n"), clean(number))
	return err
}

// changes are the packages by which two roots differ, as a transaction that makes the
// second of the first.
func changes(ctx context.Context, from, to string) ([]pkg, error) {
	before, err := installed(ctx, from)
	if err != nil {
		return nil, err
	}
	after, err := installed(ctx, to)
	if err != nil {
		return nil, err
	}
	var packages []pkg
	add := func(action string, these, but map[pkg]bool) {
		for p := range these {
			if !but[p] {
				p.Action = action
				packages = append(packages, p)
			}
		}
	}
	add("I", after, before)
	add("E", before, after)
	return packages, nil
}

// installed are the packages in the database of a root.
func installed(ctx context.Context, dir string) (map[pkg]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTime)
	defer cancel()
	const format = "%{name}\t%{epochnum}\t%{version}\t%{release}\t%{arch}\n"
	cmd := exec.CommandContext(ctx, "rpm", "--root", dir, "-qa", "--qf", format)
	var listed bytes.Buffer
	said := &confine.Words{Most: 4 << 10}
	cmd.Stdout, cmd.Stderr = &bounded{to: &listed, left: maxQuery}, said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("cannot read the packages of %s: rpm failed: %s", dir, clean(said.First(err)))
	}
	all := map[pkg]bool{}
	lines := bufio.NewScanner(&listed)
	for lines.Scan() {
		f := strings.Split(lines.Text(), "\t")
		if len(f) != 5 {
			return nil, fmt.Errorf("cannot read the packages of %s: rpm printed %.80q", dir, lines.Text())
		}
		if f[0] != "gpg-pubkey" {
			all[pkg{Name: f[0], Epoch: f[1], Version: f[2], Release: f[3], Arch: f[4]}] = true
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("cannot read the packages of %s: %w", dir, err)
	}
	return all, nil
}

// bounded takes no more than what is left.
type bounded struct {
	to   *bytes.Buffer
	left int
}

var errTooMuch = errors.New("too much output")

func (b *bounded) Write(data []byte) (int, error) {
	if b.left -= len(data); b.left < 0 {
		return 0, errTooMuch
	}
	return b.to.Write(data)
}
