// SPDX-License-Identifier: Apache-2.0

package token_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/signer/token"
)

func TestFrames(t *testing.T) {
	for _, test := range []struct {
		kind    token.Type
		payload string
		golden  string
	}{
		{token.Create, "pkcs11:", "010007" + hex.EncodeToString([]byte("pkcs11:"))},
		{token.Open, "u", "02000175"},
		{token.Sign, strings.Repeat("d", 32), "030020" + strings.Repeat("64", 32)},
		{token.Created, strings.Repeat("p", 65), "810041" + strings.Repeat("70", 65)},
		{token.Opened, "", "820000"},
		{token.Signature, strings.Repeat("s", 64), "830040" + strings.Repeat("73", 64)},
		{token.Failed, "no", "ff00026e6f"},
	} {
		var buf bytes.Buffer
		if err := token.WriteFrame(&buf, test.kind, []byte(test.payload)); err != nil {
			t.Error(err)
		}
		if got := hex.EncodeToString(buf.Bytes()); got != test.golden {
			t.Errorf("%#02x:\n got %s\nwant %s", uint8(test.kind), got, test.golden)
		}
		kind, payload, err := token.ReadFrame(&buf)
		if err != nil || kind != test.kind || string(payload) != test.payload {
			t.Errorf("%#02x %q is read as %#02x %q, %v", uint8(test.kind), test.payload, uint8(kind), payload, err)
		}
	}
}

func TestFramesRefused(t *testing.T) {
	for _, test := range []struct{ frame, want string }{
		{"000000", "type 0x00 is unknown"},
		{"030021", "type 0x03 has 33 bytes, want 32 to 32"},
		{"01ffff", "has 65535 bytes"},
		{"010000", "has 0 bytes"},
		{"8100", "unexpected EOF"},
		{"020002", "unexpected EOF"},
		{"02000275", "unexpected EOF"},
	} {
		data, err := hex.DecodeString(test.frame)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := token.ReadFrame(bytes.NewReader(data)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s:\n got %v\nwant %s", test.frame, err, test.want)
		}
	}
	if _, _, err := token.ReadFrame(strings.NewReader("")); !errors.Is(err, io.EOF) {
		t.Errorf("the end of the stream: %v", err)
	}
	if err := token.WriteFrame(io.Discard, token.Sign, []byte("short")); err == nil {
		t.Error("a frame was written that nobody reads")
	}
	var buf bytes.Buffer
	if err := token.WriteFrame(&buf, token.Failed, bytes.Repeat([]byte("x"), 5000)); err != nil || buf.Len() != 3+1024 {
		t.Errorf("a long reason makes %d bytes, %v", buf.Len(), err)
	}
}

// FuzzFrame: what is read of a stream is written as it was, and nothing asks for
// more memory than a frame may have.
func FuzzFrame(f *testing.F) {
	f.Add([]byte("\x82\x00\x00\xff\x00\x02no"))
	f.Add([]byte("\x03\x00\x20" + strings.Repeat("d", 32)))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		for {
			rest := data[len(data)-r.Len():]
			kind, payload, err := token.ReadFrame(r)
			if err != nil {
				return
			}
			var buf bytes.Buffer
			if err := token.WriteFrame(&buf, kind, payload); err != nil {
				if kind == token.Failed {
					return // made readable, it may be longer
				}
				t.Fatal(err)
			}
			if kind != token.Failed && !bytes.HasPrefix(rest, buf.Bytes()) {
				t.Fatalf("%x is written %x", rest, buf.Bytes())
			}
		}
	})
}
