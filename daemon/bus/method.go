// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"time"
	"unicode"

	"github.com/digestd/digestd/daemon/api"
	"github.com/godbus/dbus/v5"
)

// callTime bounds a call; it ends before the 25 s that callers wait by default.
const callTime = 20 * time.Second

// The bounds of text arguments, in bytes. Unprintable characters are refused in
// all but paths: what comes in here ends up in logs and on terminals.
const (
	maxPath   = 4096 // PATH_MAX
	maxName   = 1024 // a NEVRA has at most five parts of 255
	maxReason = 1024
)

// argument describes one value in or out of a method.
type argument struct {
	name, sig string
	max       int  // bytes of text
	any       bool // every character is allowed
	raw       bool // it is no text, and every byte is allowed
}

func (a argument) check(v any) error {
	var text string
	switch v := v.(type) {
	case string:
		text = v
	case []byte:
		text = string(v)
	default:
		return nil
	}
	switch {
	case len(text) > a.max:
		return api.Errorf(api.InvalidArgument, "%s has %d bytes; at most %d are allowed", a.name, len(text), a.max)
	case a.raw:
	case a.any:
		if strings.IndexByte(text, 0) >= 0 {
			return api.Errorf(api.InvalidArgument, "%s holds a NUL", a.name)
		}
	case strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return api.Errorf(api.InvalidArgument, "%s holds an unprintable character: %q", a.name, text)
	}
	return nil
}

func signature(args []argument) string {
	var b strings.Builder
	for _, a := range args {
		b.WriteString(a.sig)
	}
	return b.String()
}

// call is one method call, its arguments of the declared types and in bounds.
type call struct {
	ctx  context.Context
	path dbus.ObjectPath
	by   api.Actor // set when the method asked for it
	args []any
}

func (c call) text(i int) string { return c.args[i].(string) }

// page returns a call's offset and limit, which are arguments i and i+1.
func (c call) page(i int) (offset, limit uint32, err error) {
	offset, limit = c.args[i].(uint32), c.args[i+1].(uint32)
	if limit == 0 {
		limit = api.MaxPage
	}
	if limit > api.MaxPage {
		return 0, 0, api.Errorf(api.InvalidArgument, "limit is %d; a reply carries at most %d elements", limit, api.MaxPage)
	}
	return offset, limit, nil
}

// method is one method of an interface.
type method struct {
	name    string
	doc     string // for people, in docs/dbus.md
	in, out []argument
	action  action
	caller  bool // call wants to know who asks
	call    func(c call) ([]any, error)
}

// bound is a method on a connection, as godbus calls it.
type bound struct {
	method  *method
	session *session
	iface   string
}

// origin is where a call comes from, which godbus passes before its arguments.
type origin struct {
	sender      string
	path        dbus.ObjectPath
	interactive bool // the caller allows that a person be asked
}

// DecodeArguments checks the signature and puts the origin before the
// arguments.
func (b bound) DecodeArguments(_ *dbus.Conn, sender string, msg *dbus.Message, body []any) ([]any, error) {
	sig, _ := msg.Headers[dbus.FieldSignature].Value().(dbus.Signature)
	if want := signature(b.method.in); sig.String() != want {
		return nil, dbus.NewError("org.freedesktop.DBus.Error.InvalidArgs",
			[]any{fmt.Sprintf("%s takes arguments of signature %q, not %q", b.method.name, want, sig.String())})
	}
	path, _ := msg.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
	from := origin{sender, path, msg.Flags&dbus.FlagAllowInteractiveAuthorization != 0}
	return append([]any{from}, body...), nil
}

// Call carries out a call within all bounds.
func (b bound) Call(args ...any) (out []any, err error) {
	s, from := b.session, args[0].(origin)
	if err := s.admission.enter(from.sender); err != nil {
		return nil, err
	}
	defer s.admission.leave(from.sender)
	err = s.guard(b.iface+"."+b.method.name, func() error {
		if waits, ok := s.backend.(*standby); ok {
			if err := waits.refuses(b.iface, b.method.name); err != nil {
				return err
			}
		}
		c := call{path: from.path, args: args[1:]}
		leave, err := b.check(&c, from)
		if err != nil {
			return err
		}
		defer leave()
		ctx, cancel := context.WithTimeout(s.ctx, callTime)
		defer cancel()
		c.ctx = ctx
		if b.method.action == free && !c.by.Privileged() {
			done, err := s.admission.turns.take(ctx, c.by.UID)
			if err != nil {
				return err
			}
			defer done()
		}
		if b.method.action == free && b.method.caller {
			stop := s.followLong(cancel, from.sender)
			defer stop()
		}
		out, err = b.method.call(c)
		return err
	})
	if err == nil {
		return out, nil
	}
	if _, ok := err.(*dbus.Error); ok {
		return nil, err
	}
	return nil, api.AsError(err)
}

// check refuses arguments out of bounds, callers who have too many calls in progress
// and those who may not, and finds out who calls. The call must leave when it ends.
func (b bound) check(c *call, from origin) (leave func(), err error) {
	for i, a := range b.method.in {
		if err := a.check(c.args[i]); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(b.session.ctx, callTime)
	defer cancel()
	if c.by, err = b.session.caller(ctx, from.sender); err != nil {
		return nil, err
	}
	if leave, err = b.session.admission.enterUser(c.by); err != nil {
		return nil, err
	}
	if err := b.session.authorize(b.method.action, c.by, b.details(c), from.interactive); err != nil {
		b.session.refusals.note(c.by.UID, "call refused", "call", b.method.name, "uid", c.by.UID, "pid", c.by.PID)
		leave()
		return nil, err
	}
	return leave, nil
}

// details are a call's texts under their arguments' names, for the question that
// polkit puts to an administrator.
func (b bound) details(c *call) map[string]string {
	d := map[string]string{}
	for i, a := range b.method.in {
		if text, ok := c.args[i].(string); ok {
			d[a.name] = api.Clean(text)
		}
	}
	return d
}

// NumArguments, ArgumentValue, NumReturns and ReturnValue complete dbus.Method;
// godbus asks them only of methods that do not decode their own arguments.
func (b bound) NumArguments() int     { return len(b.method.in) }
func (b bound) ArgumentValue(int) any { return nil }
func (b bound) NumReturns() int       { return len(b.method.out) }
func (b bound) ReturnValue(int) any   { return nil }

// stack returns the stack of a panic, cut to what a log line can hold.
func stack() string {
	b := debug.Stack()
	return string(b[:min(len(b), 4096)])
}
