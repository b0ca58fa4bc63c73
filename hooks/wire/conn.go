// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"
)

const (
	firstRoom = 64 << 10 // made for a payload before its bytes arrive
	keptRoom  = 4 << 20  // kept for the next payload at most
)

// Conn carries messages over a connection. One goroutine may read while another one writes.
type Conn struct {
	c      net.Conn
	r      *bufio.Reader
	in     []byte // payload of the last message read
	out    []byte
	broken error // of the stream: it can no longer be read
}

// NewConn wraps c, which the Conn owns from then on.
func NewConn(c net.Conn) *Conn {
	return &Conn{c: c, r: bufio.NewReaderSize(c, 4096)}
}

// Close closes the connection. A Read or Write in progress fails.
func (c *Conn) Close() error { return c.c.Close() }

// Await waits for the first byte of a message, without limit if wait is 0. It returns nil at
// once if bytes have arrived already, even after ctx has ended: a caller that stops at its error
// never leaves a message half read.
func (c *Conn) Await(ctx context.Context, wait time.Duration) error {
	if c.broken != nil {
		return c.broken
	}
	if c.r.Buffered() > 0 {
		return nil
	}
	return c.awaitFrame(ctx, after(wait))
}

// after returns the time at which a wait ends, the zero time if it has no limit.
func after(wait time.Duration) (deadline time.Time) {
	if wait > 0 {
		deadline = time.Now().Add(wait)
	}
	return deadline
}

// Read returns the next message. It waits for its first byte (without limit if wait is 0), then
// for the rest at most frame. Errors: [io.EOF] if the other side closed between messages,
// [io.ErrUnexpectedEOF] within one, [ErrProtocol], [os.ErrDeadlineExceeded], or the cause of
// ctx. After any of them except an expired wait the Conn can no longer read.
//
// A [Header] aliases memory that the next Read uses again.
func (c *Conn) Read(ctx context.Context, wait, frame time.Duration) (Message, error) {
	if c.broken != nil {
		return nil, c.broken
	}
	if err := c.awaitFrame(ctx, after(wait)); err != nil {
		return nil, err
	}
	m, err := c.readFrame(ctx, time.Now().Add(frame))
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		c.broken = fmt.Errorf("cannot read message: %w", err)
		return nil, c.broken
	}
	return m, nil
}

func (c *Conn) awaitFrame(ctx context.Context, deadline time.Time) error {
	if c.r.Buffered() > 0 {
		return context.Cause(ctx)
	}
	return c.until(ctx, deadline, func() error {
		_, err := c.r.Peek(1)
		return err
	})
}

func (c *Conn) readFrame(ctx context.Context, deadline time.Time) (m Message, err error) {
	err = c.until(ctx, deadline, func() error {
		var head [frameHeader]byte
		if _, err := io.ReadFull(c.r, head[:]); err != nil {
			return err
		}
		kind := Kind(head[1])
		limit, known := kind.limit()
		length := binary.BigEndian.Uint32(head[4:])
		switch {
		case head[0] != Version:
			return fmt.Errorf("%w: version %d, this side speaks %d", ErrProtocol, head[0], Version)
		case !known:
			return fmt.Errorf("%w: %v is unknown", ErrProtocol, kind)
		case head[2] != 0 || head[3] != 0:
			return fmt.Errorf("%w: reserved bytes are not zero", ErrProtocol)
		case uint64(length) > uint64(limit):
			return fmt.Errorf("%w: %v of %d bytes, at most %d are allowed", ErrProtocol, kind, length, limit)
		}
		payload, err := c.readPayload(int(length))
		if err != nil {
			return err
		}
		m, err = decode(kind, payload)
		return err
	})
	return m, err
}

// readPayload reads n bytes into the Conn's buffer. The length is not trusted: the buffer
// doubles as bytes arrive.
func (c *Conn) readPayload(n int) ([]byte, error) {
	buf := c.in[:0]
	if cap(buf) > keptRoom {
		buf = nil
	}
	for len(buf) < n {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, min(n-len(buf), max(len(buf), firstRoom)))
		}
		m, err := io.ReadFull(c.r, buf[len(buf):min(n, cap(buf))])
		buf = buf[:len(buf)+m]
		if err != nil {
			return nil, err
		}
	}
	c.in = buf
	return buf, nil
}

// until runs fn, whose reads end when deadline passes (never, if it is zero) or
// ctx ends.
func (c *Conn) until(ctx context.Context, deadline time.Time, fn func() error) error {
	if err := c.c.SetReadDeadline(deadline); err != nil {
		return err
	}
	if ctx.Done() == nil {
		return fn()
	}
	cut := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(cut)
		c.c.SetReadDeadline(time.Unix(1, 0))
	})
	defer func() {
		if !stop() {
			<-cut // or it would cut the next read short
		}
	}()
	err := fn()
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// Write sends m within timeout. Notes that do not fit are counted instead; if any other field
// exceeds its limit, Write returns an error and sends nothing.
func (c *Conn) Write(m Message, timeout time.Duration) error {
	frame, err := appendFrame(c.out[:0], m)
	if err != nil {
		return err
	}
	if c.out = frame; cap(c.out) > keptRoom {
		c.out = nil
	}
	if err := c.c.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return fmt.Errorf("cannot send %v: %w", m.Kind(), err)
	}
	if _, err := c.c.Write(frame); err != nil {
		return fmt.Errorf("cannot send %v: %w", m.Kind(), err)
	}
	return nil
}
