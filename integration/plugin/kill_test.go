// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/digestd/digestd/hooks/wire"
)

// assassin kills the program at the other end of a connection.
type assassin struct {
	*net.UnixConn
	mercy int // bytes of the program's that are read before
	err   error
}

func (a *assassin) kill() {
	peer, err := wire.PeerCred(a.UnixConn)
	if err == nil {
		err = syscall.Kill(int(peer.PID), syscall.SIGKILL)
	}
	a.err = err
}

func (a *assassin) Read(p []byte) (int, error) {
	n, err := a.UnixConn.Read(p)
	if a.mercy > 0 {
		if a.mercy -= n; a.mercy <= 0 {
			a.kill()
		}
	}
	return n, err
}

// lastWords reads what a program that was killed left, and returns what ended it.
func lastWords(conn *wire.Conn) error {
	for {
		if _, err := conn.Read(context.Background(), 5*time.Second, 5*time.Second); err != nil {
			return err
		}
	}
}

// nextSecond waits until what a killed rpm left is in nobody's way: rpm names the
// files it unpacks by the second, and does not write over any.
func nextSecond() { time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second))) }

// rpm may be killed at any message. The daemon learns of it at once, and the
// next rpm is none the worse for it.
func TestKilled(t *testing.T) {
	for _, at := range []struct {
		kind wire.Kind
		n    int
	}{
		{wire.KindBegin, 1}, {wire.KindHeader, 1}, {wire.KindInstalled, 1}, {wire.KindRemoved, 1},
		{wire.KindHeader, 2}, {wire.KindInstalled, 2}, {wire.KindEnd, 1},
	} {
		t.Run(fmt.Sprintf("%v %d", at.kind, at.n), func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *box) {
				b.ok("-U", "plain-1")
				heard := make(chan error, 1)
				b.until(at.kind, at.n, func(c *net.UnixConn) {
					a := &assassin{UnixConn: c}
					a.kill()
					heard <- errors.Join(a.err, lastWords(wire.NewConn(c)))
				})
				b.wantKilled(b.rpm("-U", "other-1", "plain-2"), heard)
				b.serve = nil
				nextSecond()
				b.ok("-U", "--replacepkgs", "other-1", "plain-2")
				if got := b.installed(); got != "other-1 plain-2" && got != "plain-2 other-1" {
					t.Errorf("installed %q", got)
				}
			})
		})
	}
}

// A header that exceeds the socket's buffer is cut off by the death.
func TestKilledWithinMessage(t *testing.T) {
	everywhere(t, func(t *testing.T, b *box) {
		heard := make(chan error, 1)
		b.serve = func(c *net.UnixConn) {
			a := &assassin{UnixConn: c, mercy: 64 << 10}
			conn := wire.NewConn(a)
			_, err := conn.Read(context.Background(), 5*time.Second, 5*time.Second)
			if err == nil {
				err = conn.Write(&wire.Verdict{}, 5*time.Second)
			}
			if err == nil {
				err = lastWords(conn)
			}
			if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the message ended with %v", err)
			}
			heard <- errors.Join(a.err, err)
		}
		b.wantKilled(b.rpm("-U", "many-1"), heard)
		b.serve = nil
		nextSecond()
		b.ok("-U", "many-1")
	})
}

func (b *box) wantKilled(r result, heard <-chan error) {
	b.t.Helper()
	if r.code != -1 {
		b.t.Errorf("rpm ended with %d, said %q; want it killed", r.code, r.lines)
	}
	select {
	case err := <-heard:
		if errors.Is(err, os.ErrDeadlineExceeded) || !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.ECONNRESET) {
			b.t.Errorf("the server read %v, want the end", err)
		}
	case <-time.After(10 * time.Second):
		b.t.Error("the server still waits for rpm")
	}
}
