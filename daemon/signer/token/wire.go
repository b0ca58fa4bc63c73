// SPDX-License-Identifier: Apache-2.0

package token

import (
	"encoding/binary"
	"fmt"
	"io"
	"unicode/utf8"
)

// A frame is a type (1 byte), a length (2 bytes, big-endian) and a payload. Each request has one
// reply: the one of its kind, or Failed. digestd-pkcs11 ends when its input does.

// Type is the type of a frame.
type Type uint8

const (
	Create    Type = 1    // URI of the key to make → Created
	Open      Type = 2    // URI of a key → Opened
	Sign      Type = 3    // SHA-256 digest → Signature
	Created   Type = 0x81 // point of the new key
	Opened    Type = 0x82 // empty
	Signature Type = 0x83 // r and s, each of 32 bytes (PKCS#11 §6.3.12)
	Failed    Type = 0xff // the cause, for people
)

// Sizes of fields, in bytes.
const (
	DigestSize    = 32
	SignatureSize = 64
	PointSize     = 65 // uncompressed, on P-256: 4, x, y
	maxFailure    = 1024
)

// bounds are the permitted sizes of payloads, by type.
var bounds = map[Type]struct{ least, most int }{
	Create:    {1, maxURI},
	Open:      {1, maxURI},
	Sign:      {DigestSize, DigestSize},
	Created:   {PointSize, PointSize},
	Opened:    {0, 0},
	Signature: {SignatureSize, SignatureSize},
	Failed:    {0, maxFailure},
}

// WriteFrame writes one frame in one call of w.Write. It truncates the text of Failed to the
// permitted size.
func WriteFrame(w io.Writer, t Type, payload []byte) error {
	if t == Failed && len(payload) > maxFailure {
		payload = payload[:maxFailure]
	}
	if err := check(t, len(payload)); err != nil {
		return fmt.Errorf("cannot write frame: %w", err)
	}
	frame := make([]byte, 0, 3+len(payload))
	frame = append(frame, byte(t))
	frame = binary.BigEndian.AppendUint16(frame, uint16(len(payload)))
	_, err := w.Write(append(frame, payload...))
	return err
}

// ReadFrame reads one frame. It returns io.EOF only if the stream ends between frames.
func ReadFrame(r io.Reader) (Type, []byte, error) {
	var head [3]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	t, n := Type(head[0]), int(binary.BigEndian.Uint16(head[1:]))
	if err := check(t, n); err != nil {
		return 0, nil, fmt.Errorf("cannot read frame: %w", err)
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(r, payload); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	if t == Failed && !utf8.Valid(payload) {
		payload = fmt.Appendf(nil, "%q", payload)
	}
	return t, payload, nil
}

func check(t Type, n int) error {
	b, known := bounds[t]
	switch {
	case !known:
		return fmt.Errorf("type %#02x is unknown", uint8(t))
	case n < b.least || n > b.most:
		return fmt.Errorf("type %#02x has %d bytes, want %d to %d", uint8(t), n, b.least, b.most)
	}
	return nil
}
