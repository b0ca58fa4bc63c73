// SPDX-License-Identifier: Apache-2.0

package sieve

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/godbus/dbus/v5"
)

// stream is a connection from which bytes come.
type stream struct {
	net.Conn
	io.Reader
}

func (s stream) Read(p []byte) (int, error) { return s.Reader.Read(p) }

// sifted returns what godbus reads of messages with a fate.
func sifted(t *testing.T, data []byte, fate Fate, most uint32) (messages []*dbus.Message) {
	t.Helper()
	c := New(stream{Reader: iotest.OneByteReader(bytes.NewReader(data))}, func(Head) (Fate, uint32) { return fate, most })
	for {
		msg, err := dbus.DecodeMessage(c)
		if errors.Is(err, io.EOF) {
			return messages
		}
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, msg)
	}
}

// call is a call with these arguments.
func call(t *testing.T, order binary.ByteOrder, args ...any) []byte {
	t.Helper()
	msg := &dbus.Message{Type: dbus.TypeMethodCall, Flags: dbus.FlagNoAutoStart, Body: args, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath("/a")), dbus.FieldMember: dbus.MakeVariant("M"), dbus.FieldInterface: dbus.MakeVariant("a.b"),
		dbus.FieldSender: dbus.MakeVariant(":1.7"), dbus.FieldDestination: dbus.MakeVariant("c.d"), dbus.FieldReplySerial: dbus.MakeVariant(uint32(9)),
	}}
	if len(args) > 0 {
		msg.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(args...))
	}
	var b bytes.Buffer
	if err := msg.EncodeTo(&b, order); err != nil {
		t.Fatal(err)
	}
	data := b.Bytes()
	order.PutUint32(data[8:], 77) // its serial
	return data
}

// arguments are values of all types that methods take.
var arguments = []any{
	byte(7), true, int32(-5), "größer", []byte("\x00\xff"), uint32(1 << 31), []byte{}, int64(-1 << 60), []string{"", "b", "cc"}, uint64(1 << 63),
	[][]byte{[]byte("x"), {}, []byte("zz")}, []string{}, map[string]dbus.Variant{"a": dbus.MakeVariant(uint64(3)), "b": dbus.MakeVariant("text"), "": dbus.MakeVariant(false)},
	dbus.MakeVariant(int64(-1)), [][]byte{}, map[string]dbus.Variant{}, "end",
}

// A body that is carried has, decoded, the values that godbus would have decoded, and so has one
// that passes.
func TestBodies(t *testing.T) {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		data := bytes.Repeat(call(t, order, arguments...), 2)
		for _, fate := range []Fate{Carry, Pass, Bare, Drop} {
			messages := sifted(t, data, fate, 1<<20)
			if fate == Drop && len(messages) == 0 {
				continue
			}
			if len(messages) != 2 {
				t.Fatalf("%d messages of 2 arrived", len(messages))
			}
			msg := messages[1]
			values := msg.Body
			if fate == Carry {
				body, err := Carried(msg)
				if err != nil || body.TooLong() || !Takes(body.Signature) {
					t.Fatalf("%+v, %v", body, err)
				}
				if values, err = body.Decode(); err != nil {
					t.Fatal(err)
				}
			}
			if fate != Bare && !reflect.DeepEqual(values, arguments) {
				t.Errorf("fate %d: %#v", fate, values)
			}
			if fate == Bare && len(values) > 0 {
				t.Errorf("a bare message has %v", values)
			}
			h := msg.Headers
			if msg.Serial() != 77 || msg.Flags != dbus.FlagNoAutoStart || h[dbus.FieldSender].Value() != ":1.7" || h[dbus.FieldPath].Value() != dbus.ObjectPath("/a") ||
				h[dbus.FieldMember].Value() != "M" || h[dbus.FieldInterface].Value() != "a.b" || h[dbus.FieldReplySerial].Value() != uint32(9) {
				t.Errorf("the header is another: %v", msg)
			}
		}
	}
}

// What is longer than it may be never arrives; what carried it is told, and what is next does.
func TestTooLong(t *testing.T) {
	data := append(call(t, binary.LittleEndian, strings.Repeat("x", 100)), call(t, binary.LittleEndian, "y")...)
	carried := sifted(t, data, Carry, 50)
	if len(carried) != 2 {
		t.Fatalf("%d messages", len(carried))
	}
	if b, err := Carried(carried[0]); err != nil || !b.TooLong() || b.Size != 105 || b.Signature != "s" {
		t.Errorf("%+v, %v", b, err)
	}
	if b, err := Carried(carried[1]); err != nil || b.TooLong() {
		t.Errorf("%+v, %v", b, err)
	}
	if passed := sifted(t, data, Pass, 50); len(passed) != 2 || passed[0].Body != nil || passed[1].Body[0] != "y" {
		t.Errorf("%v", passed)
	}
	// A path as long as the bus permits.
	long := call(t, binary.LittleEndian)
	var grown bytes.Buffer
	msg, err := dbus.DecodeMessage(bytes.NewReader(long))
	if err != nil {
		t.Fatal(err)
	}
	msg.Headers[dbus.FieldPath] = dbus.MakeVariant(dbus.ObjectPath(strings.Repeat("/a", maxFields)))
	if err := msg.EncodeTo(&grown, binary.LittleEndian); err != nil {
		t.Fatal(err)
	}
	if got := sifted(t, append(grown.Bytes(), data...), Bare, 0); len(got) != 2 {
		t.Errorf("%d messages", len(got))
	}
}

// Types that no method takes, too many elements, and lengths that lie are errors.
func TestBadBodies(t *testing.T) {
	count := uint32(4 * (MaxElements + 1))
	many := binary.LittleEndian.AppendUint32(nil, count)
	for name, b := range map[string]Body{
		"a dictionary of another type": {Signature: "a{bs}"},
		"an array of a variant":        {Signature: "av"},
		"a variant of a container":     {Signature: "v", data: "\x02ay\x00\x00\x00\x00\x00"},
		"a variant in a variant":       {Signature: "v", data: "\x01v\x00\x01y\x00\x00"},
		"many elements":                {Signature: "aay", data: string(append(many, make([]byte, count)...))},
		"a string too long":            {Signature: "s", data: "\xff\xff\xff\xffx\x00"},
		"an array too long":            {Signature: "as", data: "\x05\x00\x00\x00\x00\x00\x00\x00"},
		"an element out of its array":  {Signature: "as", data: "\x04\x00\x00\x00\x01\x00\x00\x00x\x00"},
		"more than there is":           {Signature: "y", data: "xy"},
		"nothing":                      {Signature: "t"},
	} {
		b.order = binary.LittleEndian
		if v, err := b.Decode(); err == nil {
			t.Errorf("%s is %v", name, v)
		}
	}
}

// Lines before the first message are passed on; what is neither is an error.
func TestLines(t *testing.T) {
	c := New(stream{Reader: strings.NewReader("OK 1234\r\n" + string(call(t, binary.BigEndian, "x")))}, func(Head) (Fate, uint32) { return Pass, 100 })
	line := make([]byte, 100)
	if n, err := c.Read(line); err != nil || string(line[:n]) != "OK 1234\r\n" {
		t.Errorf("%q, %v", line[:n], err)
	}
	if msg, err := dbus.DecodeMessage(c); err != nil || msg.Body[0] != "x" {
		t.Errorf("%v, %v", msg, err)
	}
	c = New(stream{Reader: strings.NewReader(string(call(t, binary.BigEndian, "x")) + "OK and more of it\r\n")}, func(Head) (Fate, uint32) { return Drop, 100 })
	if n, err := c.Read(line); err == nil {
		t.Errorf("no message is %q", line[:n])
	}
}

// No bytes make it panic, or hand over what godbus cannot read.
func FuzzConn(f *testing.F) {
	var b bytes.Buffer
	msg := &dbus.Message{Type: dbus.TypeSignal, Body: arguments, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath("/a")), dbus.FieldMember: dbus.MakeVariant("M"), dbus.FieldInterface: dbus.MakeVariant("a.b"),
		dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(arguments...)),
	}}
	msg.EncodeTo(&b, binary.LittleEndian)
	f.Add(b.Bytes(), 2)
	f.Fuzz(func(t *testing.T, data []byte, fate int) {
		c := New(stream{Reader: bytes.NewReader(data)}, func(Head) (Fate, uint32) { return Fate(uint(fate) % 3), 1 << 16 })
		for {
			msg, err := dbus.DecodeMessage(c)
			var invalid dbus.InvalidMessageError
			if errors.As(err, &invalid) {
				continue // no header that the bus would pass on
			}
			if err != nil {
				return
			}
			if body, err := Carried(msg); err == nil {
				body.Decode()
			}
		}
	})
}
