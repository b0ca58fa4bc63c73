// SPDX-License-Identifier: Apache-2.0

package object

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"
)

// The names of polkit on the bus.
const (
	polkitName      = "org.freedesktop.PolicyKit1"
	polkitPath      = "/org/freedesktop/PolicyKit1/Authority"
	polkitInterface = "org.freedesktop.PolicyKit1.Authority"

	allowInteraction = uint32(1) // a person may be asked
)

// cancelTime bounds taking a question back.
const cancelTime = 5 * time.Second

// errNoPolkit means that nothing on the bus is polkit, nor can be started as it.
var errNoPolkit = errors.New("there is no polkit on the bus")

// subject is who is asked about. A bus name is good for one connection only and
// never used again, where a process number could be somebody else's by now.
type subject struct {
	Kind    string
	Details map[string]dbus.Variant
}

// verdict is what polkit answers.
type verdict struct {
	Authorized bool
	Challenge  bool // authorized, if a person were asked
	Details    map[string]string
}

var verdictSignature = dbus.SignatureOf(verdict{}).String()

// askPolkit asks whether sender may do a. When ctx ends first the question is
// taken back, so that no dialogue stays on a screen.
func (s *session) askPolkit(ctx context.Context, a Action, sender string, details map[string]string, interactive bool) (v verdict, err error) {
	authority := s.conn.Object(polkitName, polkitPath)
	who := subject{"system-bus-name", map[string]dbus.Variant{"name": dbus.MakeVariant(sender)}}
	flags := uint32(0)
	if interactive {
		flags = allowInteraction
	}
	id := fmt.Sprintf("%s-%d", s.object.Program, s.questions.Add(1))
	err = authority.CallWithContext(ctx, polkitInterface+".CheckAuthorization", 0, who, a.Name, details, flags, id).Store(&v)
	var remote dbus.Error
	if errors.As(err, &remote) && (remote.Name == "org.freedesktop.DBus.Error.ServiceUnknown" || remote.Name == "org.freedesktop.DBus.Error.NameHasNoOwner") {
		return v, errNoPolkit
	}
	if err != nil && ctx.Err() != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelTime)
		defer cancel()
		authority.CallWithContext(ctx, polkitInterface+".CancelCheckAuthorization", 0, id)
	}
	return v, err
}

// whilePresent returns a context that ends with that cause when sender leaves
// the bus.
func (s *session) whilePresent(ctx context.Context, sender string, cause error) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	const bus = "org.freedesktop.DBus"
	rule := []dbus.MatchOption{
		dbus.WithMatchSender(bus), dbus.WithMatchInterface(bus), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, sender),
	}
	signals := make(chan *dbus.Signal, 16)
	s.conn.Signal(signals)
	stop := func() {
		cancel(nil)
		s.conn.RemoveSignal(signals)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelTime)
		defer cancel()
		s.conn.RemoveMatchSignalContext(ctx, rule...)
	}
	if err := s.conn.AddMatchSignalContext(ctx, rule...); err != nil {
		cancel(cause)
		return ctx, stop
	}
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case sig, open := <-signals:
				if !open || left(sig, sender) {
					cancel(cause)
					return
				}
			}
		}
	}()
	// A caller that left before the match existed sends no signal any more.
	var present bool
	err := s.conn.BusObject().CallWithContext(ctx, bus+".NameHasOwner", 0, sender).Store(&present)
	if err != nil || !present {
		cancel(cause)
	}
	return ctx, stop
}

// left reports whether sig tells that name has no owner any more.
func left(sig *dbus.Signal, name string) bool {
	var of, before, after string
	return sig.Name == "org.freedesktop.DBus.NameOwnerChanged" &&
		dbus.Store(sig.Body, &of, &before, &after) == nil && of == name && after == ""
}
