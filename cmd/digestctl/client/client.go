// SPDX-License-Identifier: Apache-2.0

// Package client is a client of digestd. It has a Go method for each method of org.digestd1 that
// digestctl uses, of the same name and with typed arguments and results, and it receives the
// signals of digestd. It starts digestd if it does not run, lets polkit ask for a password if
// possible, and trusts only the owner of digestd's name. No other package of digestctl uses
// D-Bus.
package client

import (
	"context"
	"os"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus"
	"github.com/digestd/digestd/daemon/bus/sieve"
	"github.com/godbus/dbus/v5"
)

// Time limits: for the bus, for a digestd that the bus starts, for an answer, and for an answer
// that needs a password.
const (
	dialTime  = 10 * time.Second
	startTime = 15 * time.Second
	callTime  = 25 * time.Second
	askTime   = 6 * time.Minute
)

// SystemBus is the address of the system bus, wherever that is.
const SystemBus = "system"

// free are the methods that never need a password.
var free = func() map[string]bool {
	names := map[string]bool{}
	for _, m := range bus.Methods() {
		names[m.Name] = m.Action == ""
	}
	return names
}()

// Client is a connection to the bus.
type Client struct {
	conn     *dbus.Conn
	believed *believed  // whose messages the connection takes in
	flags    dbus.Flags // of every call
}

// Dial connects to the bus at an address, or to the system bus. digestd need not run. Errors are
// of type *[Unreachable].
func Dial(ctx context.Context, address string) (*Client, error) {
	// A context of the connection's own: when the user interrupts, what is under
	// way can still be cancelled over it.
	open, cancel := context.WithCancel(context.WithoutCancel(ctx))
	giveUp := time.AfterFunc(dialTime, cancel)
	stop := context.AfterFunc(ctx, cancel)
	b := &believed{ever: map[string]bool{}}
	conn, err := connect(open, address, b)
	stop()
	giveUp.Stop()
	if err != nil {
		cancel()
		if address == SystemBus {
			address = "the system bus"
		}
		return nil, &Unreachable{Bus: address, Reason: err}
	}
	return &Client{conn: conn, believed: b}, nil
}

// connect opens a connection that takes in what is believed.
func connect(ctx context.Context, address string, b *believed) (conn *dbus.Conn, err error) {
	sockets, err := sieve.ParseAddress(address)
	if err != nil {
		return nil, err
	}
	stream, err := sockets.Open(ctx, b.sift)
	if err != nil {
		return nil, err
	}
	// Signals in the order in which they came.
	conn, err = dbus.NewConn(stream, dbus.WithContext(ctx), dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()), dbus.WithIncomingInterceptor(b.hear))
	if err != nil {
		stream.Close()
		return nil, err
	}
	if err = conn.Auth(nil); err == nil {
		err = conn.Hello()
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// Close ends the connection.
func (c *Client) Close() { c.conn.Close() }

// StartNothing makes calls fail instead of starting digestd.
func (c *Client) StartNothing() { c.flags |= dbus.FlagNoAutoStart }

// call calls a method of the manager and stores its results.
func (c *Client) call(ctx context.Context, method string, args []any, returns ...any) error {
	limit := callTime
	if os.Geteuid() != 0 && !free[method] {
		limit = askTime
		defer startAgent()()
	}
	var err error
	for range ownerTries {
		var owner string
		if owner, err = c.await(ctx); err != nil {
			return err
		}
		call, cancel := context.WithTimeout(ctx, limit)
		err = c.send(call, owner, method, args).Store(returns...)
		cancel()
		if !isGone(err) {
			return api.FromDBus(err)
		}
	}
	return &Unreachable{Reason: err}
}

// send sends the call to a unique name, so that no other program answers it, and permits polkit
// to ask for a password, which godbus's own calls do not.
func (c *Client) send(ctx context.Context, to, method string, args []any) *dbus.Call {
	msg := &dbus.Message{
		Type: dbus.TypeMethodCall, Flags: dbus.FlagAllowInteractiveAuthorization | c.flags, Body: args,
		Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldDestination: dbus.MakeVariant(to),
			dbus.FieldPath:        dbus.MakeVariant(dbus.ObjectPath(api.Path)),
			dbus.FieldInterface:   dbus.MakeVariant(api.Interface),
			dbus.FieldMember:      dbus.MakeVariant(method),
		},
	}
	if len(args) > 0 {
		msg.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(args...))
	}
	return <-c.conn.SendWithContext(ctx, msg, make(chan *dbus.Call, 1)).Done
}

// get calls a method that returns one struct.
func get[T any](ctx context.Context, c *Client, method string, args ...any) (v T, err error) {
	var d api.Dict
	if err = c.call(ctx, method, args, &d); err == nil {
		err = api.Decode(d, &v)
	}
	return v, err
}

// every calls a paged method until it has all elements.
func every[T any](ctx context.Context, c *Client, method string) ([]T, error) {
	all := []T{}
	_, err := pages(ctx, c, method, 0, 0, func(page []T) { all = append(all, page...) })
	return all, err
}

// pages calls a paged method, from the element with the index from on, until it has want
// elements, or all if want is 0. It passes each page to fn. args precede offset and limit.
func pages[T any](ctx context.Context, c *Client, method string, from, want uint32, fn func(page []T), args ...any) (total uint32, err error) {
	for taken := uint32(0); ; {
		limit := uint32(api.MaxPage)
		if want > 0 {
			limit = min(limit, want-taken)
		}
		var dicts []api.Dict
		if err := c.call(ctx, method, append(append([]any{}, args...), from+taken, limit), &dicts, &total); err != nil {
			return total, err
		}
		page, err := api.DecodeAll[T](dicts)
		if err != nil {
			return total, err
		}
		fn(page)
		taken += uint32(len(page))
		if len(page) == 0 || from+taken >= total || taken == want {
			return total, nil
		}
	}
}
