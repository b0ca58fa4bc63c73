// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/godbus/dbus/v5"
)

// How long digestctl waits: for the bus, for a digestd that the bus has started, for
// an answer, and for one that somebody gives a password for.
const (
	dialTime  = 10 * time.Second
	startTime = 15 * time.Second
	callTime  = 25 * time.Second
	askTime   = 6 * time.Minute
)

// free are the methods for which nobody is ever asked for a password.
var free = []string{"Cancel", "Status", "Lists", "Show", "Files", "Why", "WhyBytes", "RollbackLog", "Log", "Floors", "Keys", "Key", "Denials", "Owns", "Own", "Order", "Verification", "Retired"}

// client is digestd as digestctl sees it.
type client struct {
	conn   *dbus.Conn
	object dbus.BusObject
	flags  dbus.Flags // of every call
}

// dial connects to the bus; the daemon need not be there.
func dial(ctx context.Context, address string) (*client, error) {
	// A context of the connection's own: when the user interrupts, what is under
	// way can still be cancelled over it.
	open, cancel := context.WithCancel(context.WithoutCancel(ctx))
	giveUp := time.AfterFunc(dialTime, cancel)
	stop := context.AfterFunc(ctx, cancel)
	var conn *dbus.Conn
	var err error
	// Signals in the order in which they came.
	options := []dbus.ConnOption{dbus.WithContext(open), dbus.WithSignalHandler(dbus.NewSequentialSignalHandler())}
	if address == "system" {
		conn, err = dbus.ConnectSystemBus(options...)
	} else {
		conn, err = dbus.Connect(address, options...)
	}
	stop()
	giveUp.Stop()
	if err != nil {
		cancel()
		if address == "system" {
			address = "the system bus"
		}
		return nil, unreachableError{bus: address, reason: err}
	}
	return &client{conn: conn, object: conn.Object(api.BusName, api.Path)}, nil
}

func (c *client) close() { c.conn.Close() }

// call calls a method of the manager and stores what it returns.
func (c *client) call(ctx context.Context, method string, args []any, returns ...any) error {
	limit := callTime
	if os.Geteuid() != 0 && !slices.Contains(free, method) {
		limit = askTime
		defer startAgent()()
	}
	if err := c.await(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := c.send(ctx, method, args).Store(returns...)
	var remote dbus.Error
	if errors.As(err, &remote) {
		switch remote.Name {
		case "org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner",
			"org.freedesktop.systemd1.NoSuchUnit", "org.freedesktop.systemd1.UnitMasked":
			return unreachableError{reason: err}
		}
		if strings.HasPrefix(remote.Name, "org.freedesktop.DBus.Error.Spawn.") {
			return unreachableError{reason: err}
		}
	}
	return api.FromDBus(err)
}

// await lets the bus start a daemon that is not there. Should that fail, the bus
// says so late or not at all.
func (c *client) await(ctx context.Context) error {
	if c.flags&dbus.FlagNoAutoStart != 0 || c.there(ctx) {
		return nil
	}
	start, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	err := c.conn.BusObject().CallWithContext(start, "org.freedesktop.DBus.StartServiceByName", 0, api.BusName, uint32(0)).Err
	switch {
	case err == nil || ctx.Err() != nil:
		return ctx.Err()
	case c.there(ctx):
		return nil
	}
	return unreachableError{reason: err}
}

// there reports whether somebody has the daemon's name.
func (c *client) there(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	var has bool
	err := c.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, api.BusName).Store(&has)
	return err == nil && has
}

// send makes the call and allows that somebody be asked for a password, which
// godbus's own calls do not.
func (c *client) send(ctx context.Context, method string, args []any) *dbus.Call {
	msg := &dbus.Message{
		Type: dbus.TypeMethodCall, Flags: dbus.FlagAllowInteractiveAuthorization | c.flags, Body: args,
		Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldDestination: dbus.MakeVariant(c.object.Destination()),
			dbus.FieldPath:        dbus.MakeVariant(c.object.Path()),
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
func get[T any](ctx context.Context, c *client, method string, args ...any) (v T, err error) {
	var d api.Dict
	if err = c.call(ctx, method, args, &d); err == nil {
		err = api.Decode(d, &v)
	}
	return v, err
}

// getAll calls a method that returns all it has at once.
func getAll[T any](ctx context.Context, c *client, method string, args ...any) ([]T, error) {
	var dicts []api.Dict
	if err := c.call(ctx, method, args, &dicts); err != nil {
		return nil, err
	}
	return api.DecodeAll[T](dicts)
}

// getEvery calls a paged method until it has all.
func getEvery[T any](ctx context.Context, c *client, method string) ([]T, error) {
	all := []T{}
	_, err := getPages(ctx, c, method, 0, func(page []T) { all = append(all, page...) })
	return all, err
}

// getPages calls a paged method until it has want elements, or all when want is
// 0, and gives each page to fn. args come before offset and limit.
func getPages[T any](ctx context.Context, c *client, method string, want uint32, fn func(page []T), args ...any) (total uint32, err error) {
	for offset := uint32(0); ; {
		limit := uint32(api.MaxPage)
		if want > 0 {
			limit = min(limit, want-offset)
		}
		var dicts []api.Dict
		if err := c.call(ctx, method, append(append([]any{}, args...), offset, limit), &dicts, &total); err != nil {
			return total, err
		}
		page, err := api.DecodeAll[T](dicts)
		if err != nil {
			return total, err
		}
		fn(page)
		offset += uint32(len(page))
		if len(page) == 0 || offset >= total || offset == want {
			return total, nil
		}
	}
}
