// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"slices"
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
var free = []string{"Cancel", "Status", "Lists", "Show", "Files", "Why", "WhyBytes", "WhyContent", "RollbackLog", "Log", "Floors", "Keys", "Key", "Denials", "Owns", "Own", "Order", "Verification", "Retired"}

// client is digestd as digestctl sees it.
type client struct {
	conn     *dbus.Conn
	believed *believed  // whose messages the connection takes in
	flags    dbus.Flags // of every call
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
	b := &believed{ever: map[string]bool{}}
	// Signals in the order in which they came.
	options := []dbus.ConnOption{dbus.WithContext(open), dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()), dbus.WithIncomingInterceptor(b.check)}
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
	return &client{conn: conn, believed: b}, nil
}

func (c *client) close() { c.conn.Close() }

// listen subscribes to signals. Those that are not from digestd or the bus never
// arrive. Rules must include ownerRule, or signals of a later owner of digestd's
// name are dropped.
func (c *client) listen(ctx context.Context, signals chan<- *dbus.Signal, rules [][]dbus.MatchOption) error {
	c.conn.Signal(signals)
	for _, rule := range rules {
		if err := c.conn.AddMatchSignalContext(ctx, rule...); err != nil {
			return err
		}
	}
	c.owner(ctx)
	return nil
}

// ownerRule matches the announcements of who owns digestd's name.
var ownerRule = []dbus.MatchOption{dbus.WithMatchSender(busName), dbus.WithMatchInterface(busName),
	dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, api.BusName)}

// call calls a method of the manager and stores what it returns.
func (c *client) call(ctx context.Context, method string, args []any, returns ...any) error {
	limit := callTime
	if os.Geteuid() != 0 && !slices.Contains(free, method) {
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
	return unreachableError{reason: err}
}

// ownerTries is how often a call is sent whose receiver left the bus before the
// call arrived, as a digestd does that restarts.
const ownerTries = 2

// isGone reports whether the bus could not deliver a call: it was sent to somebody
// who has left.
func isGone(err error) bool {
	var remote dbus.Error
	return errors.As(err, &remote) && (remote.Name == busName+".Error.ServiceUnknown" || remote.Name == busName+".Error.NameHasNoOwner")
}

// await returns the unique name of the daemon, and lets the bus start one that is
// not there. If the start fails, the bus says so late or not at all.
func (c *client) await(ctx context.Context) (owner string, err error) {
	if owner = c.owner(ctx); owner != "" {
		return owner, nil
	}
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case c.flags&dbus.FlagNoAutoStart != 0:
		return "", unreachableError{reason: errors.New("nobody has its name")}
	}
	start, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	err = c.conn.BusObject().CallWithContext(start, busName+".StartServiceByName", 0, api.BusName, uint32(0)).Err
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if owner = c.owner(ctx); owner != "" {
		return owner, nil
	}
	return "", unreachableError{reason: err}
}

// owner returns the unique name of who has the daemon's name, "" for nobody, and
// lets messages from there count.
func (c *client) owner(ctx context.Context) (owner string) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	if c.conn.BusObject().CallWithContext(ctx, busName+".GetNameOwner", 0, api.BusName).Store(&owner) != nil {
		owner = ""
	}
	c.believed.answered(owner)
	return owner
}

// send makes the call to a unique name, so that nobody else answers it, and allows
// that somebody be asked for a password, which godbus's own calls do not.
func (c *client) send(ctx context.Context, to, method string, args []any) *dbus.Call {
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
