// SPDX-License-Identifier: Apache-2.0

package sieve

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/godbus/dbus/v5"
)

// carriedSignature is the type of a message that carries another one's body: its byte order, its
// signature, its size and, unless it is too long, the body itself.
const carriedSignature = "ysus"

// MaxElements bounds the elements of all arrays of a body, bytes apart.
const MaxElements = 1 << 20

// Body is the body of a message that was not decoded.
type Body struct {
	Signature string
	Size      uint32
	order     binary.ByteOrder
	data      string
}

// carry makes the body of a message that carries another.
func carry(order binary.ByteOrder, first byte, signature string, size uint32, content []byte) []byte {
	w := writer{order: order, data: make([]byte, 0, len(content)+len(signature)+32)}
	w.data = append(w.data, first)
	w.text(signature)
	w.uint32(size)
	w.uint32(uint32(len(content)))
	return append(append(w.data, content...), 0)
}

// Carried returns the body that a message carries.
func Carried(msg *dbus.Message) (b Body, err error) {
	var first byte
	if err := dbus.Store(msg.Body, &first, &b.Signature, &b.Size, &b.data); err != nil {
		return b, fmt.Errorf("cannot read a message: %w", err)
	}
	if b.order = orderOf(first); b.order == nil {
		return b, fmt.Errorf("cannot read a message: no byte order is %#x", first)
	}
	return b, nil
}

// TooLong reports whether the body was longer than it may be, and is not there.
func (b Body) TooLong() bool { return int(b.Size) != len(b.data) }

// Decode returns the values of a body, as godbus decodes them.
func (b Body) Decode() (values []any, err error) {
	r := reader{order: b.order, data: b.data}
	for rest := b.Signature; rest != ""; {
		var read func(*reader) any
		if read, rest = first(rest); read == nil {
			return nil, fmt.Errorf("values of type %q are not accepted", b.Signature)
		}
		values = append(values, read(&r))
		if r.err != nil {
			return nil, r.err
		}
	}
	if !r.empty() {
		return nil, errMalformed
	}
	return values, nil
}

// simple are the types without parts.
var simple = map[string]func(*reader) any{
	"y": func(r *reader) any { return r.byte() },
	"b": func(r *reader) any { return r.uint32() != 0 },
	"i": func(r *reader) any { return int32(r.uint32()) },
	"u": func(r *reader) any { return r.uint32() },
	"x": func(r *reader) any { return int64(r.uint64()) },
	"t": func(r *reader) any { return r.uint64() },
	"s": func(r *reader) any { return r.text() },
}

// others are the other types that methods take. None begins like another.
var others = map[string]func(*reader) any{
	"v":     func(r *reader) any { return r.variant() },
	"ay":    func(r *reader) any { return r.bytes() },
	"as":    func(r *reader) any { return elements(r, (*reader).text) },
	"aay":   func(r *reader) any { return elements(r, (*reader).bytes) },
	"a{sv}": func(r *reader) any { return r.dict() },
}

// first returns how the first value of a signature is read, and the rest of the signature; nil
// if it is of a type that no method may take.
func first(signature string) (read func(*reader) any, rest string) {
	for _, known := range []map[string]func(*reader) any{simple, others} {
		for kind, read := range known {
			if rest, ok := strings.CutPrefix(signature, kind); ok {
				return read, rest
			}
		}
	}
	return nil, ""
}

// Takes reports whether bodies of a signature can be decoded.
func Takes(signature string) bool {
	for rest := signature; rest != ""; {
		var read func(*reader) any
		if read, rest = first(rest); read == nil {
			return false
		}
	}
	return true
}

func (r *reader) bytes() []byte {
	n := r.uint32()
	return append([]byte{}, r.take(n)...)
}

// elements reads an array.
func elements[T any](r *reader, read func(*reader) T) []T {
	end := r.array(4)
	all := []T{}
	for r.at < end && r.count() {
		all = append(all, read(r))
	}
	if r.at != end {
		r.fail(errMalformed)
	}
	return all
}

func (r *reader) dict() map[string]dbus.Variant {
	end := r.array(8)
	all := map[string]dbus.Variant{}
	for r.at < end && r.count() {
		r.align(8)
		name := r.text()
		all[name] = r.variant()
	}
	if r.at != end {
		r.fail(errMalformed)
	}
	return all
}

// variant reads a variant of a simple type: no other has a use in a call.
func (r *reader) variant() dbus.Variant {
	kind := r.short()
	read := simple[kind]
	if read == nil {
		r.fail(fmt.Errorf("values of type %q in a variant are not accepted", kind))
		return dbus.MakeVariant("")
	}
	return dbus.MakeVariant(read(r))
}
