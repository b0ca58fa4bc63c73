// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/digestd/digestd/hooks/wire"
)

// ask returns why the daemon refuses the transaction, a line each, and whether
// it does not answer. Then the rpm plugin says so as it proceeds: twice would be
// noise.
func (o options) ask(ctx context.Context, who string, r root, packages []pkg) (reason []string, away bool) {
	refused, why, err := o.check(ctx, who, r, packages)
	switch {
	case err == nil && refused:
		return reasons(why), false
	case err != nil && o.refuse:
		return []string{clean(fmt.Sprintf("digestd: no answer at %s: %s; refusing to install until it is running (systemctl start digestd), "+
			"or with _digestd_on_unreachable set to proceed", o.socket, short(err)))}, true
	}
	return nil, err != nil
}

func (o options) check(ctx context.Context, who string, r root, packages []pkg) (refused bool, why []wire.Note, err error) {
	all, files, err := elements(packages)
	if err != nil || len(all) == 0 {
		return false, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.budget)
	defer cancel()
	c, err := o.dial(ctx)
	if err != nil {
		return false, nil, err
	}
	defer c.Close()
	verdict, err := c.Begin(ctx, &wire.Begin{
		Plugin: "digestd-hook " + who, Root: r.path, RootDev: r.dev, RootIno: r.ino,
		Flags: wire.FlagTest | wire.FlagCheck, Elements: all,
	})
	if err != nil {
		return false, nil, err
	}
	if verdict.Decision != wire.Proceed { // what is assured needs no header
		return verdict.Decision == wire.Refuse, verdict.Notes, nil
	}
	for _, i := range slices.Sorted(maps.Keys(files)) {
		m, err := headerOf(files[i])
		if err != nil {
			continue // which rpm will say, too
		}
		m.Element = i
		list, err := c.Header(ctx, m)
		if err != nil {
			return false, nil, err
		}
		if list.Decision == wire.RefuseList {
			refused, why = true, append(why, list.Notes...)
		}
	}
	return refused, why, nil
}

// hint says that packages may have changed; a daemon that is away needs no
// telling.
func (o options) hint(ctx context.Context, r root) error {
	ctx, cancel := context.WithTimeout(ctx, o.budget)
	defer cancel()
	c, err := o.dial(ctx)
	if err != nil {
		return nil
	}
	defer c.Close()
	c.Hint(&wire.Hint{Plugin: "digestd-hook", RootDev: r.dev, RootIno: r.ino})
	return nil
}

// dial connects for as long as ctx lasts.
func (o options) dial(ctx context.Context) (*wire.Client, error) {
	c, err := wire.Dial(ctx, o.socket)
	if err == nil {
		context.AfterFunc(ctx, func() { c.Close() })
	}
	return c, err
}

// short says what is the matter without the socket's name, which is said before.
func short(err error) string {
	var no syscall.Errno
	if errors.As(err, &no) {
		return no.Error()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, net.ErrClosed) {
		return syscall.ETIMEDOUT.Error()
	}
	return err.Error()
}

// reasons are the messages for people that say why not, each one line.
func reasons(notes []wire.Note) (lines []string) {
	for _, n := range notes {
		if n.Level == wire.LevelError {
			lines = append(lines, clean(n.Text))
		}
	}
	if len(lines) == 0 {
		lines = []string{"digestd: refused, without a reason"}
	}
	return lines
}

// clean keeps what came from elsewhere from moving the terminal's cursor.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, text)
}
