// SPDX-License-Identifier: Apache-2.0

package object

import (
	"encoding/binary"
	"runtime"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
)

// stays wants the object to be on the bus as it was.
func (s *shelf) stays(was *session) {
	s.Helper()
	if c := call(s.connect(), "Echo", "here"); c.Err != nil || s.session.Load() != was {
		s.Fatalf("the object left the bus: %v", c.Err)
	}
}

// hostile are bodies that the bus lets through and that end or stop godbus.
var hostile = []struct {
	signature string
	body      []byte
}{
	{"a{bs}", []byte("\x00\x00\x00\x0a\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x01x\x00")},
	{"a{gu}", []byte("\x00\x00\x00\x08\x00\x00\x00\x00\x01x\x00\x00\x00\x00\x00\x01")},
	// The variant's dictionary begins at a multiple of 4, and its first entry at one of 8.
	{"v", []byte("\x05a{bs}\x00\x00\x00\x00\x00\x0a\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x01x\x00")},
}

// Nothing that a user of the bus may send takes the object off it.
func TestHostileTypes(t *testing.T) {
	s := newShelf(t)
	r, was := s.bus.Raw(), s.session.Load()
	for _, h := range hostile {
		for _, method := range []string{"Echo", "Who", "Nothing"} {
			if msg := r.Call(shelfName, shelfPath, shelfName, method, h.signature, h.body); msg.Type != dbus.TypeError {
				t.Errorf("%s(%s) is answered by %v", method, h.signature, msg.Body)
			}
		}
		r.Call(shelfName, shelfPath, "org.freedesktop.DBus.Peer", "Ping", h.signature, h.body)
		r.Send(dbus.TypeSignal, shelfName, rpmPath, rpmInterface, "EndTransaction", h.signature, h.body)
		s.stays(was)
	}
	set := []byte("\x00\x00\x00\x01a\x00\x00\x00\x00\x00\x00\x01b\x00\x01d\x00" + strings.Repeat("\x00", 15))
	if msg := r.Call(shelfName, shelfPath, propertiesName, "Set", "ssv", set); msg.Type != dbus.TypeError {
		t.Errorf("a property can be set: %v", msg.Body)
	}
	s.stays(was)
}

// A message of the size that the bus permits takes neither the memory nor the time of all.
func TestHostileSize(t *testing.T) {
	s := newShelf(t)
	r, was := s.bus.Raw(), s.session.Load()
	const size = 24 << 20 // of arrays without a byte
	body := make([]byte, 4+size)
	binary.BigEndian.PutUint32(body, size)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, method := range []string{"Echo", "Who"} {
		r.Call(shelfName, shelfPath, shelfName, method, "aay", body)
	}
	r.Send(dbus.TypeSignal, shelfName, rpmPath, rpmInterface, "EndTransaction", "aay", body)
	s.stays(was)
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > size {
		t.Errorf("messages of %d MiB took %d MiB of memory", size>>20, took>>20)
	}
}

// The types of strange arguments do not stay in memory.
func TestHostileSignatures(t *testing.T) {
	s := newShelf(t)
	r := s.bus.Raw()
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	r.Call(shelfName, shelfPath, shelfName, "Who", "", nil)
	before := heap()
	const calls = 300
	for i := range calls {
		signature, n := "y", i
		for range 28 {
			signature = "a{" + string("ynqiuxtds"[n%9]) + signature + "}"
			n = n/9 + i*7919
		}
		r.Call(shelfName, shelfPath, shelfName, "Who", signature, make([]byte, 8))
	}
	if grown := int64(heap()) - int64(before); grown > calls<<12 {
		t.Errorf("%d calls left %d KiB in memory", calls, grown>>10)
	}
}
