// SPDX-License-Identifier: Apache-2.0

package sieve

import (
	"encoding/binary"

	"github.com/godbus/dbus/v5"
)

// fieldTypes are the fields of a header that are known, with their types.
var fieldTypes = map[dbus.HeaderField]string{
	dbus.FieldPath: "o", dbus.FieldInterface: "s", dbus.FieldMember: "s", dbus.FieldErrorName: "s", dbus.FieldReplySerial: "u",
	dbus.FieldDestination: "s", dbus.FieldSender: "s", dbus.FieldSignature: "g", dbus.FieldUnixFDs: "u",
}

// field is one field of a header.
type field struct {
	code   dbus.HeaderField
	text   string
	number uint32
}

type fields []field

// parseFields reads the fields of a header. ok is false if one of them is malformed or has another
// type than the specification gives it; the bus lets no such message through, unless it is old.
func parseFields(order binary.ByteOrder, raw []byte) (all fields, ok bool) {
	r := reader{order: order, data: string(raw)}
	for !r.empty() {
		r.align(8)
		f := field{code: dbus.HeaderField(r.byte())}
		kind := r.short()
		switch kind {
		case "s", "o":
			f.text = r.text()
		case "g":
			f.text = r.short()
		case "u":
			f.number = r.uint32()
		default:
			return nil, false
		}
		want, known := fieldTypes[f.code]
		if r.err != nil || known && want != kind {
			return nil, false
		}
		if known {
			all = append(all, f)
		}
	}
	return all, true
}

// text returns a text of the header, "" if it has none of that kind.
func (all fields) text(code dbus.HeaderField) string {
	for _, f := range all {
		if f.code == code {
			return f.text
		}
	}
	return ""
}

func (all fields) signature() string { return all.text(dbus.FieldSignature) }

// message makes a message of a header and another body.
func (all fields) message(order binary.ByteOrder, fixed []byte, signature string, body []byte) []byte {
	const most = 16 // bytes of a field beside its text, or before the fields
	size := 3*most + len(signature) + len(body)
	for _, f := range all {
		size += most + len(f.text)
	}
	w := writer{order: order, data: make([]byte, 0, size)}
	w.data = append(w.data, fixed[:4]...)
	w.uint32(uint32(len(body)))
	w.data = append(w.data, fixed[8:12]...)
	w.uint32(0)
	all = append(all[:len(all):len(all)], field{code: 0})
	for _, f := range all {
		switch {
		case f.code == dbus.FieldSignature, f.code == dbus.FieldUnixFDs:
			continue
		case f.code == 0 && signature == "":
			continue
		case f.code == 0:
			f = field{code: dbus.FieldSignature, text: signature}
		}
		w.align(8)
		w.data = append(w.data, byte(f.code))
		switch kind := fieldTypes[f.code]; kind {
		case "u":
			w.short(kind)
			w.uint32(f.number)
		case "g":
			w.short(kind)
			w.short(f.text)
		default:
			w.short(kind)
			w.text(f.text)
		}
	}
	order.PutUint32(w.data[12:], uint32(len(w.data)-16))
	w.align(8)
	return append(w.data, body...)
}

// writer marshals.
type writer struct {
	order binary.ByteOrder
	data  []byte
}

func (w *writer) align(n int) {
	for len(w.data)%n != 0 {
		w.data = append(w.data, 0)
	}
}

func (w *writer) uint32(n uint32) {
	w.align(4)
	var b [4]byte
	w.order.PutUint32(b[:], n)
	w.data = append(w.data, b[:]...)
}

func (w *writer) text(s string) {
	w.uint32(uint32(len(s)))
	w.data = append(append(w.data, s...), 0)
}

func (w *writer) short(s string) {
	w.data = append(append(append(w.data, byte(len(s))), s...), 0)
}
