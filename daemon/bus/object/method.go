// SPDX-License-Identifier: Apache-2.0

package object

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"time"
	"unicode"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus/sieve"
	"github.com/godbus/dbus/v5"
)

// callTime bounds a call; it ends before the 25 s that callers wait by default.
const callTime = 20 * time.Second

// The bounds of text arguments, in bytes. Unprintable characters are refused in
// all but paths: what comes in here ends up in logs and on terminals.
const (
	MaxPath   = 4096 // PATH_MAX
	MaxName   = 1024 // a NEVRA has at most five parts of 255
	MaxReason = 1024
)

// Argument describes one value in or out of a method.
type Argument struct {
	Name, Sig string
	Max       int  // bytes of text
	Any       bool // every character is allowed
	Raw       bool // it is no text, and every byte is allowed
}

// Check refuses a text out of these bounds.
func (a Argument) Check(v any) error {
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
	case len(text) > a.Max:
		return api.Errorf(api.InvalidArgument, "%s has %d bytes; at most %d are allowed", a.Name, len(text), a.Max)
	case a.Raw:
	case a.Any:
		if strings.IndexByte(text, 0) >= 0 {
			return api.Errorf(api.InvalidArgument, "%s contains a NUL", a.Name)
		}
	case strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return api.Errorf(api.InvalidArgument, "%s contains an unprintable character: %q", a.Name, text)
	}
	return nil
}

// Signature is that of a list of arguments.
func Signature(args []Argument) string {
	var b strings.Builder
	for _, a := range args {
		b.WriteString(a.Sig)
	}
	return b.String()
}

// Call is one method call, its arguments of the declared types and in bounds.
type Call struct {
	Ctx  context.Context
	Path dbus.ObjectPath
	By   api.Actor // set when the method asked for it
	Args []any
}

// Text returns argument i, a text.
func (c Call) Text(i int) string { return c.Args[i].(string) }

// Page returns a call's offset and limit, which are arguments i and i+1.
func (c Call) Page(i int) (offset, limit uint32, err error) {
	offset, limit = c.Args[i].(uint32), c.Args[i+1].(uint32)
	if limit == 0 {
		limit = api.MaxPage
	}
	if limit > api.MaxPage {
		return 0, 0, api.Errorf(api.InvalidArgument, "limit is %d; a reply carries at most %d elements", limit, api.MaxPage)
	}
	return offset, limit, nil
}

// Method is one method of an interface.
type Method struct {
	Name    string
	Doc     string // for people
	In, Out []Argument
	Action  Action
	Caller  bool // Call wants to know who asks
	Call    func(c Call) ([]any, error)
}

// bound is a method on a connection, as godbus calls it.
type bound struct {
	method  *Method
	session *session
	iface   string
}

// origin is where a call comes from, which godbus passes before its arguments.
type origin struct {
	sender      string
	path        dbus.ObjectPath
	interactive bool // the caller allows that a person be asked
}

// DecodeArguments checks signature and size, and puts the origin before the arguments, which
// are not decoded before the call is admitted.
func (b bound) DecodeArguments(_ *dbus.Conn, sender string, msg *dbus.Message, _ []any) ([]any, error) {
	body, err := sieve.Carried(msg)
	want := Signature(b.method.In)
	switch {
	case err != nil:
		return nil, invalidArguments("%v", err)
	case body.Signature != want:
		return nil, invalidArguments("%s takes arguments of signature %q, not %q", b.method.Name, want, body.Signature)
	case body.TooLong():
		return nil, api.Errorf(api.InvalidArgument, "the arguments of %s have %d bytes; at most %d are allowed", b.method.Name, body.Size, b.method.longest())
	}
	path, _ := msg.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
	from := origin{sender, path, msg.Flags&dbus.FlagAllowInteractiveAuthorization != 0}
	return []any{from, body}, nil
}

func invalidArguments(format string, args ...any) error {
	return dbus.NewError("org.freedesktop.DBus.Error.InvalidArgs", []any{fmt.Sprintf(format, args...)})
}

// The bounds of arguments that have none of their own: arrays and variants of a call that
// everybody may make, and of one that needs an authorization.
const (
	maxFree   = 64 << 10
	maxArrays = 32 << 20
)

// longest returns how many bytes the arguments of m may have.
func (m *Method) longest() (most uint32) {
	for _, a := range m.In {
		const beside = 16 // a number, or what a text has beside its bytes
		switch {
		case a.Sig == "s" || a.Sig == "ay":
			most += uint32(a.Max) + beside
		case len(a.Sig) == 1 && a.Sig != "v":
			most += beside
		case m.Action == Free:
			most += maxFree
		default:
			most += maxArrays
		}
	}
	return min(most, maxArrays)
}

// Call carries out a call within all bounds.
func (b bound) Call(args ...any) (out []any, err error) {
	s, from := b.session, args[0].(origin)
	if err := s.admission.enter(from.sender); err != nil {
		return nil, err
	}
	defer s.admission.leave(from.sender)
	err = s.guard(b.iface+"."+b.method.Name, func() error {
		if s.object.Refuses != nil {
			if err := s.object.Refuses(b.iface, b.method.Name); err != nil {
				return err
			}
		}
		c := Call{Path: from.path}
		leave, err := b.check(&c, from, args[1].(sieve.Body))
		if err != nil {
			return err
		}
		defer leave()
		ctx, cancel := context.WithTimeout(s.ctx, callTime)
		defer cancel()
		c.Ctx = ctx
		if b.method.Action == Free && !c.By.Privileged() {
			done, err := s.admission.turns.take(ctx, c.By.UID)
			if err != nil {
				return err
			}
			defer done()
		}
		if b.method.Action == Free && b.method.Caller {
			stop := s.followLong(cancel, from.sender)
			defer stop()
		}
		out, err = b.method.Call(c)
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

// check finds out who calls, refuses callers who have too many calls in progress, arguments out
// of bounds, and callers who may not. The call must leave when it ends.
func (b bound) check(c *Call, from origin, body sieve.Body) (leave func(), err error) {
	ctx, cancel := context.WithTimeout(b.session.ctx, callTime)
	defer cancel()
	if c.By, err = b.session.caller(ctx, from.sender); err != nil {
		return nil, err
	}
	if leave, err = b.session.admission.enterUser(c.By, int(body.Size)); err != nil {
		return nil, err
	}
	if err := b.decode(c, body); err != nil {
		leave()
		return nil, err
	}
	if err := b.session.authorize(b.method.Action, c.By, b.details(c), from.interactive); err != nil {
		b.session.refusals.note(c.By.UID, "call refused", "call", b.method.Name, "uid", c.By.UID, "pid", c.By.PID)
		leave()
		return nil, err
	}
	return leave, nil
}

// decode decodes the arguments and refuses those out of bounds.
func (b bound) decode(c *Call, body sieve.Body) (err error) {
	if c.Args, err = body.Decode(); err != nil {
		return invalidArguments("%s: %v", b.method.Name, err)
	}
	for i, a := range b.method.In {
		if err := a.Check(c.Args[i]); err != nil {
			return err
		}
	}
	return nil
}

// details are a call's texts under their arguments' names, for the question that
// polkit puts to an administrator.
func (b bound) details(c *Call) map[string]string {
	d := map[string]string{}
	for i, a := range b.method.In {
		if text, ok := c.Args[i].(string); ok {
			d[a.Name] = api.Clean(text)
		}
	}
	return d
}

// NumArguments, ArgumentValue, NumReturns and ReturnValue complete dbus.Method;
// godbus asks them only of methods that do not decode their own arguments.
func (b bound) NumArguments() int     { return len(b.method.In) }
func (b bound) ArgumentValue(int) any { return nil }
func (b bound) NumReturns() int       { return len(b.method.Out) }
func (b bound) ReturnValue(int) any   { return nil }

// stack returns the stack of a panic, cut to what a log line can hold.
func stack() string {
	b := debug.Stack()
	return string(b[:min(len(b), 4096)])
}
