// SPDX-License-Identifier: Apache-2.0

package object

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus/sieve"
	"github.com/godbus/dbus/v5"
)

// connectTime bounds everything from dialling to owning the name.
const connectTime = 10 * time.Second

// ErrUnreachable means that there is no bus to talk to, now.
var ErrUnreachable = errors.New("cannot reach the bus")

// errLeft is why a query ends whose caller is gone.
var errLeft = errors.New("the caller left the bus")

// session is one connection to the bus. The knowledge about callers ends with it: another bus
// gives the same unique names to others.
type session struct {
	*Server
	conn      *dbus.Conn
	announced *announcements

	mu      sync.Mutex
	callers map[string]api.Actor // by unique name
}

// maxReply bounds what the bus and polkit answer.
const maxReply = 1 << 20

// maxCallers bounds what a session remembers of callers.
const maxCallers = 1024

// connect opens a session and owns the name. It wraps ErrUnreachable unless the
// bus itself said no.
func (s *Server) connect(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	stream, err := s.address.Open(ctx, s.sift)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	current := &session{Server: s, callers: map[string]api.Actor{}, announced: newAnnouncements()}
	// The connection outlives ctx, and the server's: the last signals are sent
	// after that ended.
	if current.conn, err = dbus.NewConn(stream, dbus.WithHandler(current), dbus.WithSignalHandler(current.announced)); err != nil {
		stream.Close()
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	stop := context.AfterFunc(ctx, func() { current.conn.Close() })
	defer stop()
	if err := current.enter(); err != nil {
		current.conn.Close()
		return nil, err
	}
	if err := current.subscribe(ctx); err != nil {
		// Without them who serves the object finds changes by itself.
		s.log.Warn("rpm's announcements are not heard", "error", err)
	}
	if !stop() {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, context.Cause(ctx))
	}
	return current, nil
}

// sift lets nobody but the bus send anything that godbus decodes, besides the answers of polkit and
// errors.
func (s *Server) sift(h sieve.Head) (sieve.Fate, uint32) {
	switch {
	case h.Sender == "org.freedesktop.DBus", h.Type == dbus.TypeMethodReply && h.Signature == verdictSignature, h.Type == dbus.TypeError && h.Signature == "s":
		return sieve.Pass, maxReply
	case h.Type == dbus.TypeMethodReply, h.Type == dbus.TypeError:
		return sieve.Bare, 0
	case h.Type == dbus.TypeMethodCall:
		return sieve.Carry, s.longest(h.Interface, h.Member)
	case h.Type == dbus.TypeSignal:
		return sieve.Bare, 0
	}
	return sieve.Drop, 0
}

// longest returns how long the arguments of a method may be.
func (s *Server) longest(iface, name string) (most uint32) {
	for _, i := range s.interfaces {
		for j := range i.Methods {
			if m := &i.Methods[j]; m.Name == name && (iface == "" || i.Name == iface) {
				most = max(most, m.longest())
			}
		}
	}
	return most
}

// enter introduces the connection to the bus and asks for the name.
func (s *session) enter() error {
	if err := s.conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Geteuid()))}); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	if err := s.conn.Hello(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	reply, err := s.conn.RequestName(s.object.Name, dbus.NameFlagDoNotQueue)
	var refused dbus.Error
	switch {
	case errors.As(err, &refused):
		return fmt.Errorf("the bus refuses to assign the name: %w", err)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	case reply != dbus.RequestNameReplyPrimaryOwner:
		return s.object.Taken
	}
	return nil
}

// caller asks the bus who a sender is, once a connection of theirs.
func (s *session) caller(ctx context.Context, sender string) (api.Actor, error) {
	s.mu.Lock()
	actor, known := s.callers[sender]
	s.mu.Unlock()
	if known {
		return actor, nil
	}
	var credentials map[string]dbus.Variant
	err := s.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.GetConnectionCredentials", 0, sender).Store(&credentials)
	if err != nil {
		return actor, api.Errorf(api.AccessDenied, "cannot tell who is calling: %v", err)
	}
	uid, ok := credentials["UnixUserID"].Value().(uint32)
	if !ok {
		return actor, api.Errorf(api.AccessDenied, "cannot tell who is calling: the bus does not know the user")
	}
	pid, _ := credentials["ProcessID"].Value().(uint32)
	actor = api.Actor{UID: uid, PID: pid, Sender: sender}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.callers) >= maxCallers {
		clear(s.callers)
	}
	s.callers[sender] = actor
	return actor, nil
}

// longCall is after how long a query is worth finding out whether its caller is
// still there: hashing a large file for nobody is not.
const longCall = time.Second

// followLong ends a query whose caller leaves, if it takes long.
func (s *session) followLong(end context.CancelFunc, sender string) (stop func()) {
	ctx, cancel := context.WithCancel(s.ctx)
	timer := time.AfterFunc(longCall, func() {
		ctx, stop := s.whilePresent(ctx, sender, errLeft)
		defer stop()
		<-ctx.Done()
		if context.Cause(ctx) == errLeft {
			end()
		}
	})
	return func() {
		timer.Stop()
		cancel()
	}
}
