// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus/object"
	"github.com/godbus/dbus/v5"
)

// ErrNameTaken means that another process owns org.digestd1 on that bus.
var ErrNameTaken = errors.New(api.BusName + " is taken: another digestd serves this bus")

// refusalWindow is for how long refused calls are counted before the log has their sum.
const refusalWindow = time.Minute

// Server is a Backend on a bus. Its methods named like signals send them: they
// never block, and do nothing while there is no bus.
type Server struct {
	*object.Server
	backend Backend
}

// Serve puts b on the bus at address, "system" or a D-Bus address of a Unix
// socket, until ctx ends or Close is called. When the bus cannot be reached yet
// Serve keeps trying in the background: a daemon that starts before the bus
// must not fail for it. An address that can never work, a name that is taken or
// refused is an error.
func Serve(ctx context.Context, address string, b Backend, log *slog.Logger) (*Server, error) {
	return serveOn(ctx, address, b, log, refusalWindow)
}

func serveOn(ctx context.Context, address string, b Backend, log *slog.Logger, window time.Duration) (*Server, error) {
	s := &Server{Server: object.New(log), backend: b}
	o := object.Object{
		Name: api.BusName, Path: api.Path, Program: "digestd", Taken: ErrNameTaken, Interface: s.table(),
		Values:    func() map[string]dbus.Variant { return propertyValues(s.status()) },
		Announced: b.PackagesAnnounced, RefusalWindow: window,
	}
	if waits, ok := b.(*standby); ok {
		o.Refuses = waits.refuses
	}
	if err := s.Server.Serve(ctx, address, o); err != nil {
		return nil, err
	}
	return s, nil
}
