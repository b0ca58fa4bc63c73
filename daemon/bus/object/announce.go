// SPDX-License-Identifier: Apache-2.0

package object

import (
	"context"
	"sync/atomic"

	"github.com/godbus/dbus/v5"
)

// The signals of rpm's plugin dbus_announce on the system bus, where only root may own its
// name.
const (
	rpmName      = "org.rpm.announce"
	rpmPath      = "/org/rpm/Transaction"
	rpmInterface = "org.rpm.Transaction"
)

// maxAnnounced bounds what waits of it: a later one says the same.
const maxAnnounced = 16

// announcements hears signals for a session. godbus calls it for each one that reaches the
// connection, wherever it comes from, in order: so it drops at once what is not from the bus
// itself or from the owner of rpm's name, and never waits. It passes the answers of the bus on
// to the callers that asked.
type announcements struct {
	signalHandler
	owner atomic.Value // string: who owns rpm's name
	heard chan announcement
}

// signalHandler is what dbus.Conn.Signal needs.
type signalHandler interface {
	dbus.SignalHandler
	dbus.SignalRegistrar
	dbus.Terminator
}

// announcement is a new owner of rpm's name, or what one said.
type announcement struct {
	sender string
	ended  bool // a transaction
}

func newAnnouncements() *announcements {
	a := &announcements{
		signalHandler: dbus.NewSequentialSignalHandler().(signalHandler),
		heard:         make(chan announcement, maxAnnounced),
	}
	a.owner.Store("")
	return a
}

// DeliverSignal implements dbus.SignalHandler.
func (a *announcements) DeliverSignal(iface, name string, s *dbus.Signal) {
	switch {
	case s.Sender == "org.freedesktop.DBus":
		var changed, old, owner string
		if name == "NameOwnerChanged" && dbus.Store(s.Body, &changed, &old, &owner) == nil && changed == rpmName {
			a.meet(owner)
		}
		a.signalHandler.DeliverSignal(iface, name, s)
	case iface == rpmInterface && s.Path == rpmPath && (name == "EndTransaction" || name == "EndTransactionDetails"):
		if s.Sender != "" && s.Sender == a.owner.Load() {
			a.push(announcement{sender: s.Sender, ended: true})
		}
	}
}

func (a *announcements) meet(owner string) {
	a.owner.Store(owner)
	if owner != "" {
		a.push(announcement{sender: owner})
	}
}

func (a *announcements) push(n announcement) {
	select {
	case a.heard <- n:
	default:
	}
}

// subscribe asks the bus for rpm's announcements.
func (s *session) subscribe(ctx context.Context) error {
	rpm := []dbus.MatchOption{dbus.WithMatchSender(rpmName), dbus.WithMatchObjectPath(rpmPath), dbus.WithMatchInterface(rpmInterface)}
	for _, rule := range [][]dbus.MatchOption{
		{dbus.WithMatchSender("org.freedesktop.DBus"), dbus.WithMatchInterface("org.freedesktop.DBus"),
			dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, rpmName)},
		append(rpm[:len(rpm):len(rpm)], dbus.WithMatchMember("EndTransaction")),
		append(rpm[:len(rpm):len(rpm)], dbus.WithMatchMember("EndTransactionDetails")),
	} {
		if err := s.conn.AddMatchSignalContext(ctx, rule...); err != nil {
			return err
		}
	}
	var owner string
	if s.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.GetNameOwner", 0, rpmName).Store(&owner) == nil {
		s.announced.meet(owner)
	}
	return nil
}

// followAnnouncements passes them on until the session or ctx ends. The owner has to be
// identified while it is on the bus: rpm leaves as soon as it has spoken.
func (s *session) followAnnouncements(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.conn.Context().Done():
			return
		case n := <-s.announced.heard:
			by, err := s.caller(ctx, n.sender)
			switch {
			case err != nil:
				s.log.Debug("announcement ignored", "sender", n.sender, "error", err)
			case by.UID != 0:
				s.refusals.note(by.UID, "announcement ignored", "sender", n.sender, "uid", by.UID, "error", "only root runs package transactions")
			case n.ended:
				s.object.Announced()
			}
		}
	}
}
