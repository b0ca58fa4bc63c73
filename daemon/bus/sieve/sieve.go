// SPDX-License-Identifier: Apache-2.0

// Package sieve is a connection to a bus from which godbus reads only what is safe to read.
//
// godbus decodes each message that arrives before anybody can refuse it, and every user of a
// bus may send any message to any connection. A legal message of the bus's full size becomes a
// gigabyte in memory and takes seconds, during which no other message is read; some legal types
// are errors to godbus, upon which it closes the connection, or panics; and the types that it
// makes stay in memory for ever. So each message is looked at here first, by its header. What
// godbus gets has a header of known fields and, unless it comes from somebody who is trusted, no
// body or one whose parts it takes for plain texts.
package sieve

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"

	"github.com/godbus/dbus/v5"
)

// Head is the header of a message.
type Head struct {
	Type              dbus.Type
	Sender, Interface string
	Member, Signature string
}

// Fate is what becomes of a message.
type Fate int

// What may become of a message.
const (
	Drop  Fate = iota // nobody sees it
	Bare              // it arrives without a body
	Carry             // it arrives with a Body, which nobody decoded
	Pass              // it arrives as it is: for the bus, and those that are trusted
)

// Sift decides about a message. most is how many bytes its body may have.
type Sift func(Head) (fate Fate, most uint32)

// maxFields bounds the fields of a header. The longest that we make is a path of a few bytes and
// seven names, of 255 bytes at most.
const maxFields = 4096

// Conn is a connection that sifts what it reads. It takes part in no negotiation of file
// descriptors: godbus would keep those that others attach open for ever.
type Conn struct {
	net.Conn
	in      *bufio.Reader
	sift    Sift
	begun   bool // the lines that authenticate are over
	pending []byte
}

// New returns a connection that sifts what c brings.
func New(c net.Conn, sift Sift) *Conn {
	return &Conn{Conn: c, in: bufio.NewReader(c), sift: sift}
}

// Read reads what is left of one line or message.
func (c *Conn) Read(p []byte) (int, error) {
	for len(c.pending) == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.pending)
	c.pending = c.pending[n:]
	return n, nil
}

// next reads a line of the authentication, or a message. No such line begins like a message.
func (c *Conn) next() error {
	first, err := c.in.Peek(1)
	if err != nil {
		return err
	}
	if c.begun = c.begun || first[0] == 'l' || first[0] == 'B'; c.begun {
		return c.message()
	}
	line, err := c.in.ReadSlice('\n')
	c.pending = bytes.Clone(line)
	return err
}

// message reads a message and leaves in pending what becomes of it.
func (c *Conn) message() error {
	fixed := make([]byte, 16)
	if _, err := io.ReadFull(c.in, fixed); err != nil {
		return err
	}
	order := orderOf(fixed[0])
	if order == nil {
		return fmt.Errorf("cannot read from the bus: no message begins with %#x", fixed[0])
	}
	body, size := int64(order.Uint32(fixed[4:])), int64(order.Uint32(fixed[12:]))
	padded := (size + 7) &^ 7
	if size > maxFields {
		return c.discard(padded + body)
	}
	raw := make([]byte, padded)
	if _, err := io.ReadFull(c.in, raw); err != nil {
		return err
	}
	f, ok := parseFields(order, raw[:size])
	if !ok {
		return c.discard(body)
	}
	fate, most := c.sift(Head{Type: dbus.Type(fixed[1]), Sender: f.text(dbus.FieldSender), Interface: f.text(dbus.FieldInterface), Member: f.text(dbus.FieldMember), Signature: f.signature()})
	tooLong := body > int64(most)
	switch {
	case fate == Drop:
		return c.discard(body)
	case fate == Bare, fate == Pass && tooLong:
		c.pending = f.message(order, fixed, "", nil)
		return c.discard(body)
	case tooLong:
		c.pending = f.message(order, fixed, carriedSignature, carry(order, fixed[0], f.signature(), uint32(body), nil))
		return c.discard(body)
	}
	content := make([]byte, body)
	if _, err := io.ReadFull(c.in, content); err != nil {
		return err
	}
	if fate == Carry {
		content = carry(order, fixed[0], f.signature(), uint32(body), content)
		c.pending = f.message(order, fixed, carriedSignature, content)
	} else {
		c.pending = f.message(order, fixed, f.signature(), content)
	}
	return nil
}

// discard skips bytes of a message.
func (c *Conn) discard(n int64) error {
	_, err := io.CopyN(io.Discard, c.in, n)
	return err
}

func orderOf(first byte) binary.ByteOrder {
	switch first {
	case 'l':
		return binary.LittleEndian
	case 'B':
		return binary.BigEndian
	}
	return nil
}
