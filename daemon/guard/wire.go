// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/digestd/digestd/kernel/guard"
)

// DefaultSocket is where digestd-guard listens.
const DefaultSocket = "/run/digestd-guard/guard.sock"

// version starts every frame.
const version = 1

// kind says what a frame holds. Answers have the high bit set.
type kind uint8

const (
	kindStatus   kind = 0x01 // nothing
	kindAdmit    kind = 0x02 // digests
	kindExpel    kind = 0x03 // digests
	kindCommit   kind = 0x04 // the number of a commit, 8 bytes
	kindReplace  kind = 0x05 // how many digests will come, 4 bytes
	kindPart     kind = 0x06 // digests, each with 4 bytes: how many lists hold it; not answered
	kindEnd      kind = 0x07 // of what Replace began: the number of a commit, 8 bytes
	kindSettings kind = 0x08 // JSON of a Change
	kindListed   kind = 0x09 // digests
	kindDenials  kind = 0x0a // nothing

	kindLargest  kind = 0x0b // the size of the largest listed file, 8 bytes
	kindSnapshot kind = 0x0c // nothing
	kindRoom     kind = 0x0d // nothing
	kindKeepers  kind = 0x0e // digests
	kindChecked  kind = 0x0f // JSON of a Check
	kindWatch    kind = 0x10 // the state that the client knows, 8 bytes; 0: none
	kindExempt   kind = 0x11 // JSON of an Exemption

	kindDone        kind = 0x80 // nothing
	kindStatusIs    kind = 0x81 // JSON of a Status
	kindListedAre   kind = 0x82 // a byte for each digest, 0 or 1
	kindDenialsAre  kind = 0x83 // JSON of a Denials
	kindPartIs      kind = 0x84 // of a snapshot: as Part; more follow, or End
	kindEndIs       kind = 0x85 // of a snapshot: the number of the commit that it is of, 8 bytes
	kindRoomIs      kind = 0x86 // JSON of a Room
	kindStateIs     kind = 0x87 // the state now, 8 bytes
	kindError       kind = 0xff // text
	frameHeader          = 8    // version, kind, two zero bytes, length of the payload in 4, big-endian
	digestSize           = len(guard.Digest{})
	partSize             = digestSize + 4
	perFrame             = 8192 // digests
	maxKeepers           = 32   // digests
	maxText              = 4096
	maxJSON              = 2 << 20
	maxCheck             = 32 << 10
	frameTimeout         = 10 * time.Second // from a frame's first byte to its last
	exchangeTimeout      = 60 * time.Second // for an answer: a large map takes the place of another in it
)

// ErrProtocol is wrapped by errors about bytes that are no frame of this protocol.
// The connection cannot be used after it.
var ErrProtocol = errors.New("protocol violation")

// limit returns how long a payload may be, or -1 if the kind is unknown.
func (k kind) limit() int {
	switch k {
	case kindStatus, kindDenials, kindSnapshot, kindRoom, kindDone:
		return 0
	case kindCommit, kindEnd, kindLargest, kindEndIs, kindWatch, kindStateIs:
		return 8
	case kindReplace:
		return 4
	case kindAdmit, kindExpel, kindListed:
		return perFrame * digestSize
	case kindPart, kindPartIs:
		return perFrame * partSize
	case kindKeepers:
		return maxKeepers * digestSize
	case kindListedAre:
		return perFrame
	case kindSettings, kindExempt, kindRoomIs, kindError:
		return maxText
	case kindChecked:
		return maxCheck
	case kindStatusIs, kindDenialsAre:
		return maxJSON
	}
	return -1
}

// conn carries frames. It is for one goroutine.
type conn struct {
	net.Conn
	buf []byte // of the last frame read or written
}

// write sends one frame.
func (c *conn) write(k kind, payload []byte) error {
	if len(payload) > k.limit() {
		return fmt.Errorf("cannot send %d bytes: at most %d are allowed", len(payload), k.limit())
	}
	b := append(c.buf[:0], version, byte(k), 0, 0)
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(payload))), payload...)
	c.buf = b
	if err := c.SetWriteDeadline(time.Now().Add(frameTimeout)); err != nil {
		return err
	}
	_, err := c.Write(b)
	return err
}

// read returns the next frame. It waits for the first byte until then (without end if
// then is zero) and for the rest as long as a frame may take. The payload is valid
// until the next read or write. io.EOF means that the other side closed between frames.
func (c *conn) read(ctx context.Context, then time.Time) (kind, []byte, error) {
	if err := c.SetReadDeadline(then); err != nil {
		return 0, nil, err
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	var head [frameHeader]byte
	if _, err := io.ReadFull(c, head[:1]); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return 0, nil, err
	}
	if err := c.SetReadDeadline(time.Now().Add(frameTimeout)); err != nil {
		return 0, nil, err
	}
	if _, err := io.ReadFull(c, head[1:]); err != nil {
		return 0, nil, unexpected(err)
	}
	k, n := kind(head[1]), binary.BigEndian.Uint32(head[4:])
	switch {
	case head[0] != version:
		return 0, nil, fmt.Errorf("%w: version %d, this side speaks %d", ErrProtocol, head[0], version)
	case head[2] != 0 || head[3] != 0:
		return 0, nil, fmt.Errorf("%w: reserved bytes are not zero", ErrProtocol)
	case k.limit() < 0:
		return 0, nil, fmt.Errorf("%w: kind %#x is unknown", ErrProtocol, byte(k))
	case uint64(n) > uint64(k.limit()):
		return 0, nil, fmt.Errorf("%w: kind %#x with %d bytes, at most %d are allowed", ErrProtocol, byte(k), n, k.limit())
	}
	// The limit of every kind is small enough to be made before the bytes arrive.
	if uint32(cap(c.buf)) < n {
		c.buf = make([]byte, n)
	}
	payload := c.buf[:n]
	if _, err := io.ReadFull(c, payload); err != nil {
		return 0, nil, unexpected(err)
	}
	return k, payload, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func appendDigests(b []byte, digests []guard.Digest) []byte {
	for i := range digests {
		b = append(b, digests[i][:]...)
	}
	return b
}

func parseDigests(b []byte) ([]guard.Digest, error) {
	if len(b)%digestSize != 0 {
		return nil, fmt.Errorf("%w: %d bytes are no digests", ErrProtocol, len(b))
	}
	digests := make([]guard.Digest, len(b)/digestSize)
	for i := range digests {
		digests[i] = guard.Digest(b[i*digestSize:])
	}
	return digests, nil
}

// parsePart returns the digests of a part and how many lists hold each.
func parsePart(b []byte) ([]guard.Digest, []uint32, error) {
	if len(b)%partSize != 0 {
		return nil, nil, fmt.Errorf("%w: %d bytes are no part", ErrProtocol, len(b))
	}
	n := len(b) / partSize
	digests, lists := make([]guard.Digest, n), make([]uint32, n)
	for i := range n {
		at := b[i*partSize:]
		digests[i], lists[i] = guard.Digest(at), binary.BigEndian.Uint32(at[digestSize:])
		if lists[i] == 0 {
			return nil, nil, fmt.Errorf("%w: a digest that no list holds", ErrProtocol)
		}
	}
	return digests, lists, nil
}
