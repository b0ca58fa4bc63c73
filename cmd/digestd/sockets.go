// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/digestd/digestd/daemon/session"
	"golang.org/x/sys/unix"
)

// passed is what the service manager hands over.
type passed struct {
	hook *net.UnixListener // nil: digestd makes its own
	left []session.Left
}

// takePassed takes the socket of digestd.socket, and the connections that the
// digestd before this one left in the manager's keeping. It closes the files.
func takePassed(files []*os.File) (p passed, err error) {
	for _, f := range files {
		listens, serr := unix.GetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
		switch {
		case serr != nil:
			err = errors.Join(err, serr)
		case listens == 0:
			// Theirs until they are forgotten: who waits for the end of one would wait on.
			notify("FDSTOREREMOVE=1", "FDNAME="+f.Name())
			stage, _, _ := strings.Cut(f.Name(), "-")
			if c, cerr := net.FileConn(f); cerr != nil {
				err = errors.Join(err, cerr)
			} else if conn, ok := c.(*net.UnixConn); ok {
				p.left = append(p.left, session.Left{Conn: conn, Stage: session.Stage(stage)})
			}
		case p.hook == nil:
			if l, lerr := net.FileListener(f); lerr != nil {
				err = errors.Join(err, lerr)
			} else if hook, ok := l.(*net.UnixListener); ok {
				hook.SetUnlinkOnClose(false)
				p.hook = hook
			}
		}
		f.Close()
	}
	if err != nil {
		return p, fmt.Errorf("cannot take sockets from the service manager: %w", err)
	}
	return p, nil
}

// leaveAgain leaves to the next digestd what this one never served.
func (p *passed) leaveAgain(log *slog.Logger) {
	leave := leaver()
	for _, l := range p.left {
		if leave == nil {
			return
		}
		if err := leave(l); err != nil {
			log.Warn("transaction not left to the next digestd", "error", err)
		}
	}
}

// leaver returns what puts connections into the keeping of the service manager,
// or nil if there is none.
func leaver() func(session.Left) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	var serial atomic.Uint64
	return func(l session.Left) error {
		s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(s)
		f, err := l.Conn.File()
		if err != nil {
			return err
		}
		defer f.Close()
		// One name a connection: they are forgotten by name.
		name := string(l.Stage) + "-" + strconv.Itoa(os.Getpid()) + "-" + strconv.FormatUint(serial.Add(1), 10)
		return unix.Sendmsg(s, []byte("FDSTORE=1\nFDNAME="+name), unix.UnixRights(int(f.Fd())), &unix.SockaddrUnix{Name: path}, 0)
	}
}

// listen makes a socket that root alone can connect to.
func listen(path string) (*net.UnixListener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	// If something answers there, it is another daemon with a state of its own; otherwise a
	// dead one left the socket.
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return nil, fmt.Errorf("cannot listen on %s: another digestd answers there", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	old := unix.Umask(0o177)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	unix.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	return l, nil
}
