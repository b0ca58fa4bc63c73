// SPDX-License-Identifier: Apache-2.0

package client

import (
	"sync"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus/sieve"
	"github.com/godbus/dbus/v5"
)

// busName is the name of the bus itself. The bus writes the sender into every
// message that it passes on, so nobody else can send under this name.
const busName = "org.freedesktop.DBus"

// believed knows whose messages count. A bus lets every user send signals to any
// connection, and some let them send replies. So each message that comes in is
// sifted before godbus reads it: signals count only from the owner of
// digestd's name at that time, replies only from an owner of that name, and both
// from the bus.
type believed struct {
	mu    sync.Mutex
	owner string          // unique name, "" while nobody has digestd's name
	told  bool            // the bus announced an owner, which is newer than any answer
	ever  map[string]bool // all owners: one that is replaced may still answer
}

// maxMessage is the size of the largest message of D-Bus.
const maxMessage = 1 << 27

// sift drops a message that is not believed. godbus reads a message only when hear has
// seen the one before. A call is answered by godbus: there is nothing to call.
func (b *believed) sift(h sieve.Head) (sieve.Fate, uint32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case h.Type == dbus.TypeMethodCall:
		return sieve.Bare, 0
	case h.Sender == busName:
		return sieve.Pass, maxMessage
	case h.Type == dbus.TypeSignal && h.Sender != "" && h.Sender == b.owner,
		(h.Type == dbus.TypeMethodReply || h.Type == dbus.TypeError) && b.ever[h.Sender]:
		return sieve.Pass, maxMessage
	}
	return sieve.Drop, 0
}

// hear learns of a new owner from the bus. It runs for one message after the other, in the
// order in which they arrived.
func (b *believed) hear(msg *dbus.Message) {
	if sender, _ := msg.Headers[dbus.FieldSender].Value().(string); msg.Type != dbus.TypeSignal || sender != busName {
		return
	}
	var name, from, to string
	member, _ := msg.Headers[dbus.FieldMember].Value().(string)
	if member == "NameOwnerChanged" && dbus.Store(msg.Body, &name, &from, &to) == nil && name == api.BusName {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.told = true
		b.meet(to)
	}
}

// answered takes in whom the bus named as the owner when it was asked. Once the
// bus announces owners, an answer is never newer than what was announced.
func (b *believed) answered(owner string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if owner != "" {
		b.ever[owner] = true
	}
	if !b.told {
		b.meet(owner)
	}
}

func (b *believed) meet(owner string) {
	if b.owner = owner; owner != "" {
		b.ever[owner] = true
	}
}
