// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/google/go-cmp/cmp"
)

var messages = []Message{
	&Begin{Plugin: "rpm 1", RPM: "4.18.0", Root: "/", RootDev: 1, RootIno: 2, DBPath: "/var/lib/rpm", DBDev: 3, DBIno: 4, Flags: FlagJustDB, TID: 5,
		Elements: []Element{{Type: Added, NEVRA: nevra.NEVRA{Name: "bash", EVR: nevra.EVR{Epoch: 1, Version: "5", Release: "1"}, Arch: "x86_64"}}}},
	&Header{Element: 7, Type: Added, DBInstance: 9, Region: []byte("region"), Signatures: []header.Signature{{Tag: 268, Data: []byte("sig")}}},
	&Installed{Element: 7, DBInstance: 9},
	&Failed{Element: 7, Result: -1},
	&Removed{Element: 7, Digest: [32]byte{1, 2, 3}},
	&Removed{Element: 7},
	&End{Failed: 1},
	&Hint{Plugin: "dnf4 1", RootDev: 1, RootIno: 2},
	&Verdict{Decision: Refuse, Notes: []Note{{Level: LevelError, Text: "no"}}},
	&List{Element: 7, Decision: ListNamed, Name: "tlv-bash-1:5-1.x86_64"},
	&List{Element: 7, Decision: ListNamed, Name: "tlv-bash-1:5-1.x86_64", Signatures: []FileSignature{{File: 0, Value: []byte{3, 2}}, {File: 9, Value: []byte{1}}}},
	&Ack{Notes: []Note{{Level: LevelWarning, Text: "hm"}}},
	&Error{Text: "cannot"},
}

func TestMessagesSurviveTheWay(t *testing.T) {
	for _, m := range messages {
		client, server := net.Pipe()
		written := make(chan error, 1)
		go func() { written <- NewConn(client).Write(m, time.Minute) }()
		got, err := NewConn(server).Read(context.Background(), time.Minute, time.Minute)
		if werr := <-written; err != nil || werr != nil {
			t.Fatalf("%v: %v, %v", m.Kind(), err, werr)
		}
		client.Close()
		if diff := cmp.Diff(m, got); diff != "" {
			t.Errorf("%v: %s", m.Kind(), diff)
		}
		server.Close()
	}
}

// TestGoldenFrame holds the bytes of a frame to docs/protocol.md.
func TestGoldenFrame(t *testing.T) {
	frame, err := appendFrame(nil, &Installed{Element: 7, DBInstance: 9})
	if want := "01030000" + "00000008" + "00000007" + "00000009"; err != nil || hex.EncodeToString(frame) != want {
		t.Errorf("%x (%v), want %s", frame, err, want)
	}
}

// TestTruncatedAnywhere: no payload that ends early is taken for a whole one.
func TestTruncatedAnywhere(t *testing.T) {
	for _, m := range messages {
		frame, err := appendFrame(nil, m)
		if err != nil {
			t.Fatal(err)
		}
		payload := frame[8:]
		for n := range len(payload) {
			if got, err := decode(m.Kind(), payload[:n]); err == nil {
				t.Errorf("%v: %d of %d bytes make %+v", m.Kind(), n, len(payload), got)
			}
		}
		if _, err := decode(m.Kind(), append(bytes.Clone(payload), 0)); err == nil {
			t.Errorf("%v: a byte too many is accepted", m.Kind())
		}
	}
}

// TestDeadlines: neither silence nor half a frame holds a reader for longer than
// it allows.
func TestDeadlines(t *testing.T) {
	for name, sent := range map[string]string{"silence": "", "half a head": "\x01\x03", "half a frame": "\x01\x03\x00\x00\x00\x00\x00\x08\x00"} {
		client, server := net.Pipe()
		go client.Write([]byte(sent))
		started := time.Now()
		if m, err := NewConn(server).Read(context.Background(), 50*time.Millisecond, 50*time.Millisecond); err == nil {
			t.Errorf("%s: read %+v", name, m)
		}
		if took := time.Since(started); took > 5*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
		client.Close()
		server.Close()
	}
	_, server := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := NewConn(server).Read(ctx, 0, time.Second); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestBoundsBeforeMemory: a frame that announces more than its kind may have is
// refused by its head.
func TestBoundsBeforeMemory(t *testing.T) {
	for _, head := range []string{
		"\x01\x01\x00\x00\x01\x00\x00\x01", // BEGIN of 16 MiB and one byte
		"\x01\x02\x00\x00\x04\x00\x00\x01", // HEADER of 64 MiB and one byte
		"\x01\x06\x00\x00\x00\x01\x00\x01", // END of 64 KiB and one byte
		"\x02\x06\x00\x00\x00\x00\x00\x04", // another version
		"\x01\x63\x00\x00\x00\x00\x00\x04", // another kind
	} {
		client, server := net.Pipe()
		go client.Write([]byte(head))
		_, err := NewConn(server).Read(context.Background(), time.Second, time.Second)
		if err == nil || errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "timeout") {
			t.Errorf("%x: %v", head, err)
		}
		client.Close()
		server.Close()
	}
}

// FuzzDecode: whatever arrives, what is accepted says the same when sent again.
func FuzzDecode(f *testing.F) {
	for _, m := range messages {
		frame, err := appendFrame(nil, m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(m.Kind()), frame[8:])
	}
	f.Fuzz(func(t *testing.T, kind uint8, payload []byte) {
		m, err := decode(Kind(kind), payload)
		if err != nil {
			return
		}
		frame, err := appendFrame(nil, m)
		if err != nil {
			return // bounds of the sender may be narrower
		}
		again, err := decode(m.Kind(), frame[8:])
		if err != nil {
			t.Fatalf("%+v: %v", m, err)
		}
		if diff := cmp.Diff(m, again); diff != "" {
			t.Error(diff)
		}
	})
}

// TestAwaitLeavesNothingHalfRead: a caller that stops when Await says so has taken
// nothing from the connection, and reads a message that has begun to its end.
func TestAwaitLeavesNothingHalfRead(t *testing.T) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	two, err := appendFrame(nil, &End{Failed: 1})
	if err == nil {
		two, err = appendFrame(two, &End{Failed: 2})
	}
	if err != nil {
		t.Fatal(err)
	}
	client, server := net.Pipe()
	defer client.Close()
	conn := NewConn(server)
	if err := conn.Await(ended, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("nothing has come: %v", err)
	}
	go client.Write(two)
	for n := range uint32(2) {
		// The second has come with the first, and is no longer the connection's.
		ctx := ended
		if n == 0 {
			ctx = context.Background()
		}
		if err := conn.Await(ctx, time.Minute); err != nil {
			t.Fatalf("frame %d: %v", n, err)
		}
		m, err := conn.Read(context.Background(), time.Minute, time.Minute)
		if end, ok := m.(*End); err != nil || !ok || end.Failed != n+1 {
			t.Fatalf("frame %d: %+v, %v", n, m, err)
		}
	}
	if err := conn.Await(ended, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("all is read: %v", err)
	}
}
