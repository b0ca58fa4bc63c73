// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// golden is an event as a little-endian kernel writes it.
func golden(t testing.TB) []byte {
	t.Helper()
	b, err := hex.DecodeString("00ca9a3b00000000" + // one second
		"2a00000000000000" + "0700000000000000" + // inode 42, cgroup 7
		"01000008" + "d2040000" + "01000000" + "e8030000" + // device, PID 1234, its parent 1, UID 1000
		"01010101" + "09000000" + // exec, unlisted, refused, hashed; length of the path
		strings.Repeat("ab", 32) + hex.EncodeToString([]byte("sh\x00rest of 16 b\x00")) + hex.EncodeToString([]byte("/tmp/tru\x00old")))
	if err != nil {
		t.Fatal(err)
	}
	return append(b, make([]byte, EventSize-len(b))...)
}

func TestParseEvent(t *testing.T) {
	got, err := parseEvent(golden(t), binary.LittleEndian)
	if err != nil {
		t.Fatal(err)
	}
	d := Digest(bytes.Repeat([]byte{0xab}, 32))
	want := &Event{
		When: time.Second, File: FileID{Device: 0x08000001, Inode: 42},
		Process: Process{PID: 1234, Parent: 1, UID: 1000, Cgroup: 7, Command: "sh"},
		Act:     Execute, Reason: Unlisted, Refused: true, Digest: &d, Path: "/tmp/tru",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseEventWithoutPathAndDigest(t *testing.T) {
	b := golden(t)
	b[43] = 0
	binary.LittleEndian.PutUint32(b[44:], EventSize) // more than there is room for
	got, err := parseEvent(b, binary.LittleEndian)
	if err != nil || got.Digest != nil || got.Path != "" {
		t.Errorf("digest %v, path %q, %v; want neither", got.Digest, got.Path, err)
	}
	for _, n := range []int{0, EventSize - 1, EventSize + 1} {
		if _, err := ParseEvent(make([]byte, n)); err == nil {
			t.Errorf("%d bytes were taken for an event", n)
		}
	}
}

func FuzzParseEvent(f *testing.F) {
	f.Add(golden(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEvent(b)
		if err == nil && (strings.Contains(e.Path, "\x00") || len(e.Process.Command) > 16 || e.Act.String() == "" || e.Reason.String() == "") {
			t.Errorf("%+v", e)
		}
	})
}

func TestModes(t *testing.T) {
	for m, s := range map[Mode]string{Off: "off", Audit: "audit", Enforce: "enforce"} {
		if got, err := ParseMode(s); got != m || err != nil || m.String() != s {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "Off", "enforced"} {
		if _, err := ParseMode(s); err == nil {
			t.Errorf("%q was taken for a mode", s)
		}
	}
}
