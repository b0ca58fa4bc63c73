// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/digestd/digestd/hooks/wire"
)

// ask returns why the daemon refuses the transaction, a line each. When it does
// not answer, the rpm plugin says so as it proceeds: twice would be noise.
func (o options) ask(ctx context.Context, who string, r root, packages []pkg) []string {
	verdict, err := o.check(ctx, who, r, packages)
	switch {
	case err == nil && verdict.Decision == wire.Refuse:
		return reasons(verdict.Notes)
	case err != nil && o.refuse:
		return []string{clean(fmt.Sprintf("digestd: no answer at %s: %s; refusing to install until it is running (systemctl start digestd), "+
			"or with _digestd_on_unreachable set to proceed", o.socket, short(err)))}
	}
	return nil
}

func (o options) check(ctx context.Context, who string, r root, packages []pkg) (*wire.Verdict, error) {
	all, err := elements(packages)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return &wire.Verdict{Decision: wire.Proceed}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, o.budget)
	defer cancel()
	c, err := o.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Begin(ctx, &wire.Begin{
		Plugin: "digestd-hook " + who, Root: r.path, RootDev: r.dev, RootIno: r.ino,
		Flags: wire.FlagTest | wire.FlagCheck, Elements: all,
	})
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
