// SPDX-License-Identifier: Apache-2.0

package client

import (
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus"
	"github.com/digestd/digestd/daemon/bus/bustest"
	"github.com/godbus/dbus/v5"
)

// heard is a call as it came from the bus.
type heard struct{ method, signature string }

// table is what has digestd's name in these tests: it answers each method of the
// bus's table with values of the declared types, all of them empty, and keeps what
// was called. Its jobs end at once.
type table struct {
	conn    *dbus.Conn
	methods map[string]bus.Method
	mu      sync.Mutex
	calls   []heard
}

// heard are the calls since it was asked before.
func (t *table) heard() []heard {
	t.mu.Lock()
	defer t.mu.Unlock()
	calls := t.calls
	t.calls = nil
	return calls
}

// answered is one method of the table.
type answered struct {
	table *table
	name  string
}

func (t *table) LookupObject(path dbus.ObjectPath) (dbus.ServerObject, bool) {
	return t, path == api.Path
}
func (t *table) LookupInterface(name string) (dbus.Interface, bool) { return t, name == api.Interface }

func (t *table) LookupMethod(name string) (dbus.Method, bool) { return answered{t, name}, true }

func (a answered) DecodeArguments(_ *dbus.Conn, _ string, msg *dbus.Message, body []any) ([]any, error) {
	signature, _ := msg.Headers[dbus.FieldSignature].Value().(dbus.Signature)
	a.table.mu.Lock()
	defer a.table.mu.Unlock()
	a.table.calls = append(a.table.calls, heard{a.name, signature.String()})
	return body, nil
}

func (a answered) Call(...any) (_ []any, err error) {
	method := a.table.methods[a.name]
	if method.Out == "t" { // the number of a job, or of an upload
		err = a.table.conn.Emit(api.Path, api.Interface+".JobFinished", uint64(0), true, api.Dict{})
	}
	return emptyValues(method.Out), err
}

func (a answered) NumArguments() int     { return 0 }
func (a answered) ArgumentValue(int) any { return nil }
func (a answered) NumReturns() int       { return len(emptyValues(a.table.methods[a.name].Out)) }
func (a answered) ReturnValue(int) any   { return nil }

// emptyValues are values of the types of a signature.
func emptyValues(signature string) (values []any) {
	for rest := signature; rest != ""; {
		for _, t := range []struct {
			signature string
			value     any
		}{{"aa{sv}", []api.Dict{}}, {"a{sv}", api.Dict{}}, {"u", uint32(0)}, {"t", uint64(0)}, {"s", ""}, {"b", false}} {
			var found bool
			if rest, found = strings.CutPrefix(rest, t.signature); found {
				values = append(values, t.value)
				break
			}
		}
	}
	return values
}

// serveTable puts a table on a bus and returns a client of it.
func serveTable(t *testing.T) (*table, *Client) {
	t.Helper()
	served, c, _ := serveTableOn(t)
	return served, c
}

// serveTableOn returns the bus as well.
func serveTableOn(t *testing.T) (*table, *Client, *bustest.Bus) {
	t.Helper()
	b := bustest.Start(t)
	served := &table{methods: map[string]bus.Method{}}
	for _, m := range bus.Methods() {
		served.methods[m.Name] = m
	}
	var err error
	if served.conn, err = dbus.Connect(b.Address, dbus.WithHandler(served)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { served.conn.Close() })
	if reply, err := served.conn.RequestName(api.BusName, dbus.NameFlagDoNotQueue); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatal(reply, err)
	}
	c, err := Dial(t.Context(), b.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return served, c, b
}

// Each Go method calls the method of the table whose name it has, once, with the
// arguments that the table declares, and understands what the table says it
// returns. Arguments are empty, which must change none of their types.
func TestMethodsAreThoseOfTheTable(t *testing.T) {
	served, c := serveTable(t)
	// Functions that consist of several methods, or of none.
	others := []string{"Ask", "Close", "Follow", "StartNothing", "Upload"}
	tested := 0
	client := reflect.ValueOf(c)
	for i := range client.NumMethod() {
		name := client.Type().Method(i).Name
		if slices.Contains(others, name) {
			continue
		}
		tested++
		method, known := served.methods[name]
		if !known {
			t.Errorf("the table has no method %s", name)
			continue
		}
		call := client.Method(i)
		args := []reflect.Value{reflect.ValueOf(t.Context())}
		for j := 1; j < call.Type().NumIn(); j++ {
			args = append(args, emptyArgument(call.Type().In(j)))
		}
		served.heard()
		out := call.Call(args)
		if err, failed := out[len(out)-1].Interface().(error); failed {
			t.Errorf("%s: %v", name, err)
		}
		if got, want := served.heard(), []heard{{name, method.In}}; !slices.Equal(got, want) {
			t.Errorf("%s: called %v, want %v", name, got, want)
		}
	}
	for name := range served.methods {
		if _, has := client.Type().MethodByName(name); !has {
			t.Errorf("the client has no method %s", name)
		}
	}
	if tested != len(served.methods) {
		t.Errorf("%d methods tested, %d in the table", tested, len(served.methods))
	}
}

// emptyArgument is an argument as empty as can be; a function takes what it is
// given.
func emptyArgument(t reflect.Type) reflect.Value {
	if t.Kind() == reflect.Func {
		return reflect.MakeFunc(t, func([]reflect.Value) []reflect.Value { return nil })
	}
	return reflect.Zero(t)
}

// Methods that need no authorization ask nobody for a password; where polkit asks, the
// user has the time to answer.
func TestWhatIsFree(t *testing.T) {
	for name, want := range map[string]bool{"Status": true, "Cancel": true, "Retired": true, "Findings": false, "KeyRevoke": false, "Sync": false} {
		if free[name] != want {
			t.Errorf("%s: free is %v", name, free[name])
		}
	}
}

// What others send to digestctl does not end it, nor what it listens to.
func TestStrangersMessages(t *testing.T) {
	served, c, b := serveTableOn(t)
	signals, err := c.Follow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := b.Raw()
	strange := []byte("\x00\x00\x00\x0a\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x01x\x00") // which godbus cannot decode
	for _, kind := range []dbus.Type{dbus.TypeSignal, dbus.TypeMethodCall} {
		r.Send(kind, c.conn.Names()[0], api.Path, api.Interface, "ListPublished", "a{bs}", strange)
	}
	r.Call(c.conn.Names()[0], "/", "org.freedesktop.DBus.Peer", "Ping", "a{bs}", strange)
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("after a stranger's messages: %v", err)
	}
	served.conn.Emit(api.Path, api.Interface+".ListPublished", "tlv-a", "a-1-1.noarch")
	if s, err := signals.Next(t.Context()); err != nil || s.Fields["list"] != "tlv-a" {
		t.Errorf("a signal of digestd is %+v, %v", s, err)
	}
}
