// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"fmt"
	"net"
	"time"
)

// ExchangeTimeout is how long a hook waits for one reply.
const ExchangeTimeout = 10 * time.Second

// Client is a hook's side of a transaction: Begin, then for each package Header
// and Installed, Failed or Removed, then End. It is for one goroutine.
type Client struct {
	conn *Conn
}

// Dial connects to the daemon's socket.
func Dial(ctx context.Context, socket string) (*Client, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to the daemon: %w", err)
	}
	return NewClient(c), nil
}

// NewClient returns a client that uses an existing connection.
func NewClient(c net.Conn) *Client { return &Client{conn: NewConn(c)} }

// Close ends the connection. If there was no End, the daemon treats the transaction as aborted
// and reads its result from rpm's database.
func (c *Client) Close() error { return c.conn.Close() }

// Begin begins the transaction.
func (c *Client) Begin(ctx context.Context, m *Begin) (*Verdict, error) {
	return exchange[*Verdict](ctx, c.conn, m)
}

// Header announces a package that is about to be unpacked.
func (c *Client) Header(ctx context.Context, m *Header) (*List, error) {
	l, err := exchange[*List](ctx, c.conn, m)
	if err == nil && l.Element != m.Element {
		return nil, fmt.Errorf("%w: LIST of element %d, asked for %d", ErrProtocol, l.Element, m.Element)
	}
	return l, err
}

// Installed reports that the package is installed.
func (c *Client) Installed(m *Installed) error { return c.conn.Write(m, ExchangeTimeout) }

// Failed reports that the package failed.
func (c *Client) Failed(m *Failed) error { return c.conn.Write(m, ExchangeTimeout) }

// Removed reports that the package is erased.
func (c *Client) Removed(m *Removed) error { return c.conn.Write(m, ExchangeTimeout) }

// End ends the transaction.
func (c *Client) End(ctx context.Context, m *End) (*Ack, error) {
	return exchange[*Ack](ctx, c.conn, m)
}

// Hint reports that packages may have changed.
func (c *Client) Hint(m *Hint) error { return c.conn.Write(m, ExchangeTimeout) }

// exchange sends a message and waits for its reply.
func exchange[Reply Message](ctx context.Context, c *Conn, m Message) (reply Reply, err error) {
	if err := c.Write(m, ExchangeTimeout); err != nil {
		return reply, err
	}
	answer, err := c.Read(ctx, ExchangeTimeout, ExchangeTimeout)
	if err != nil {
		return reply, fmt.Errorf("cannot get reply to %v: %w", m.Kind(), err)
	}
	switch a := answer.(type) {
	case Reply:
		return a, nil
	case *Error:
		return reply, fmt.Errorf("daemon refused %v: %s", m.Kind(), a.Text)
	}
	return reply, fmt.Errorf("%w: %v in reply to %v", ErrProtocol, answer.Kind(), m.Kind())
}
