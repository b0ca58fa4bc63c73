// SPDX-License-Identifier: Apache-2.0

package bustest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// Raw is a connection to the bus that sends messages which no library makes.
type Raw struct {
	net.Conn
	tb     testing.TB
	serial uint32
}

// Raw connects this process to the bus.
func (b *Bus) Raw() *Raw {
	b.tb.Helper()
	c, err := net.Dial("unix", strings.TrimPrefix(b.Address, "unix:path="))
	if err != nil {
		b.tb.Fatal(err)
	}
	b.tb.Cleanup(func() { c.Close() })
	r := &Raw{Conn: c, tb: b.tb}
	fmt.Fprintf(r, "\x00AUTH EXTERNAL %x\r\nBEGIN\r\n", fmt.Append(nil, os.Geteuid()))
	for line := []byte{0}; line[0] != '\n'; {
		if _, err := io.ReadFull(r, line); err != nil {
			b.tb.Fatal(err)
		}
	}
	r.Send(dbus.TypeMethodCall, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello", "", nil)
	return r
}

// Send sends a message to a name.
func (r *Raw) Send(kind dbus.Type, to, path, iface, member, signature string, body []byte) {
	r.tb.Helper()
	var h bytes.Buffer
	for _, f := range []struct {
		code       byte
		kind, text string
	}{{1, "o", path}, {2, "s", iface}, {3, "s", member}, {6, "s", to}, {8, "g", signature}} {
		for h.Len()%8 != 0 {
			h.WriteByte(0)
		}
		h.Write([]byte{f.code, 1, f.kind[0], 0})
		if f.kind == "g" {
			h.WriteByte(byte(len(f.text)))
		} else {
			binary.Write(&h, binary.BigEndian, uint32(len(f.text)))
		}
		h.WriteString(f.text + "\x00")
	}
	r.serial++
	var b bytes.Buffer
	b.Write([]byte{'B', byte(kind), 0, 1})
	for _, n := range []int{len(body), int(r.serial), h.Len()} {
		binary.Write(&b, binary.BigEndian, uint32(n))
	}
	b.Write(h.Bytes())
	for b.Len()%8 != 0 {
		b.WriteByte(0)
	}
	for _, part := range [][]byte{b.Bytes(), body} {
		if _, err := r.Write(part); err != nil {
			r.tb.Fatal(err)
		}
	}
}

// Call calls a method, which is asked of a name with bytes as its arguments, and returns the answer.
func (r *Raw) Call(to, path, iface, member, signature string, body []byte) *dbus.Message {
	r.tb.Helper()
	r.Send(dbus.TypeMethodCall, to, path, iface, member, signature, body)
	r.SetReadDeadline(time.Now().Add(30 * time.Second))
	for {
		msg, err := dbus.DecodeMessage(r)
		if err != nil {
			r.tb.Fatalf("%s(%s) is not answered: %v", member, signature, err)
		}
		if serial, _ := msg.Headers[dbus.FieldReplySerial].Value().(uint32); serial == r.serial {
			return msg
		}
	}
}
