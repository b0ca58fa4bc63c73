// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus/bustest"
	"github.com/godbus/dbus/v5"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// stub is a backend that answers at once with next to nothing, and remembers
// who changed what. Tests replace what they are about.
type stub struct {
	why   func(ctx context.Context, by api.Actor, path string) (api.Why, error)
	sync  func(ctx context.Context, report func(stage string, done, total int)) (api.SyncResult, error)
	lists []api.List

	verify   func(ctx context.Context, req api.VerifyRequest, report func(stage string, done, total int)) (api.Verification, error)
	findings []api.Finding

	mu      sync.Mutex
	status  api.Status
	guard   api.Guard
	changes []string
}

func (b *stub) changed(what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.changes = append(b.changes, what)
}

func (b *stub) Status() api.Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status
}

// Lists ignores limit: keeping it is the bus's own promise.
func (b *stub) Lists(_ context.Context, _ string, offset, _ uint32) ([]api.List, uint32, error) {
	return b.lists[min(int(offset), len(b.lists)):], uint32(len(b.lists)), nil
}

func (b *stub) Show(context.Context, string) ([]api.List, error) { return b.lists, nil }

func (b *stub) Files(context.Context, string, uint32, uint32) ([]api.File, uint32, error) {
	return []api.File{}, 0, nil
}

func (b *stub) Why(ctx context.Context, by api.Actor, path string) (api.Why, error) {
	if b.why != nil {
		return b.why(ctx, by, path)
	}
	return api.Why{Path: path}, nil
}

func (b *stub) RollbackLog(context.Context, uint32, uint32) ([]api.Event, uint32, error) {
	return nil, 0, nil
}
func (b *stub) Log(_ context.Context, f api.LogFilter, _, _ uint32) ([]api.Event, uint32, error) {
	return []api.Event{{Seq: f.After + 1, Kind: f.Kind}}, 1, nil
}
func (b *stub) Floors(context.Context) ([]api.Floor, error) {
	return make([]api.Floor, len(b.lists)), nil
}
func (b *stub) Keys(context.Context) ([]api.Key, error) { return nil, nil }
func (b *stub) Key(_ context.Context, id string) (api.Key, error) {
	return api.Key{Fingerprint: id}, nil
}

func (b *stub) Sync(ctx context.Context, _ api.Actor, report func(string, int, int)) (api.SyncResult, error) {
	b.changed("Sync")
	if b.sync != nil {
		return b.sync(ctx, report)
	}
	return api.SyncResult{Installed: 7}, nil
}

func (b *stub) Check(context.Context, []byte, []byte) (api.Check, error) { return api.Check{}, nil }
func (b *stub) CheckVersion(context.Context, string) (api.Check, error)  { return api.Check{}, nil }

func (b *stub) WhyContent(_ context.Context, path string, c api.Content) (api.Why, error) {
	return api.Why{Path: path, RealPath: c.RealPath, Label: c.Label, Vouched: c.Found}, nil
}

func (b *stub) RollbackGrant(_ context.Context, _ api.Actor, pkg, _ string) (api.Grant, error) {
	b.changed("RollbackGrant")
	return api.Grant{Package: pkg}, nil
}

func (b *stub) RollbackRevoke(context.Context, api.Actor, string) error {
	b.changed("RollbackRevoke")
	return nil
}

func (b *stub) KeyRevoke(context.Context, api.Actor, string, string) (api.Key, error) {
	b.changed("KeyRevoke")
	return api.Key{}, nil
}

func (b *stub) KeyRestore(context.Context, api.Actor, string, string) (api.Key, error) {
	b.changed("KeyRestore")
	return api.Key{}, nil
}

func (b *stub) SignerRotate(context.Context, api.Actor, bool, string) (api.Certificate, error) {
	b.changed("SignerRotate")
	return api.Certificate{}, nil
}

func (b *stub) Denials(context.Context, uint32, uint32) ([]api.Denial, uint32, error) {
	return nil, 0, nil
}

func (b *stub) Deny(_ context.Context, _ api.Actor, what, path, _, ticket string, expires time.Time) (api.Denial, error) {
	b.changed("Deny")
	return api.Denial{What: what, Path: path, Ticket: ticket, Expires: expires}, nil
}

func (b *stub) AdvisoryStatus(context.Context) (api.AdvisoryStatus, error) {
	return api.AdvisoryStatus{Mode: "report"}, nil
}

func (b *stub) Advisories(context.Context) ([]api.Advised, error) {
	return []api.Advised{{Package: "a-1-1.noarch"}, {Package: "b-1-1.noarch"}}, nil
}

func (b *stub) AdvisoriesWhy(_ context.Context, pkg string) (api.AdvisoryWhy, error) {
	return api.AdvisoryWhy{Package: pkg}, nil
}

func (b *stub) AdvisoriesForget(context.Context, api.Actor, string, string) error {
	b.changed("AdvisoriesForget")
	return nil
}

func (b *stub) DenialLift(_ context.Context, _ api.Actor, what, _ string) (api.Denial, error) {
	b.changed("DenialLift")
	return api.Denial{What: what}, nil
}

func (b *stub) DenialsImport(_ context.Context, _ api.Actor, document []byte, dryRun bool) (api.DenialImport, error) {
	b.changed("DenialsImport")
	return api.DenialImport{Added: len(document), DryRun: dryRun}, nil
}

func (b *stub) SignerEnrol(context.Context, api.Actor, string) (api.Enrolment, error) {
	b.changed("SignerEnrol")
	return api.Enrolment{}, nil
}

func (b *stub) Kernel() api.Kernel { return api.Kernel{Release: "6.12"} }
func (b *stub) Retired(context.Context, uint32, uint32) ([]api.Retired, uint32, error) {
	return nil, 0, nil
}

func (b *stub) FloorSet(context.Context, api.Actor, string, string, string) error {
	b.changed("FloorSet")
	return nil
}

func (b *stub) FloorClear(context.Context, api.Actor, string, string) error {
	b.changed("FloorClear")
	return nil
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// serve puts b on a bus of its own.
func serve(t *testing.T, b Backend) (*Server, *bustest.Bus) {
	t.Helper()
	private := bustest.Start(t)
	return putOn(t, private, b), private
}

func putOn(t *testing.T, private *bustest.Bus, b Backend) *Server {
	t.Helper()
	s, err := Serve(t.Context(), private.Address, b, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// peer is another program on the bus.
type peer struct {
	t    *testing.T
	conn *dbus.Conn
}

func connect(t *testing.T, private *bustest.Bus) peer {
	t.Helper()
	conn, err := dbus.Connect(private.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return peer{t, conn}
}

// try calls a method of the manager.
func (p peer) try(method string, args ...any) *dbus.Call {
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	return p.conn.Object(api.BusName, api.Path).CallWithContext(ctx, api.Interface+"."+method, 0, args...)
}

// must calls a method that must succeed.
func (p peer) must(method string, args ...any) []any {
	p.t.Helper()
	call := p.try(method, args...)
	if call.Err != nil {
		p.t.Fatalf("%s: %v", method, call.Err)
	}
	return call.Body
}

// refused calls a method that must fail with an error of that name, without
// what all of ours begin with.
func (p peer) refused(want, method string, args ...any) string {
	p.t.Helper()
	var err dbus.Error
	if got := p.try(method, args...).Err; !errors.As(got, &err) {
		p.t.Fatalf("%s%.200s came to %v, want %s", method, fmt.Sprintf("%.60v", args), got, want)
	}
	if err.Name != want && err.Name != errorPrefix+want {
		p.t.Fatalf("%s%.60v failed with %s: %v, want %s", method, args, err.Name, err, want)
	}
	return err.Error()
}

const errorPrefix = api.BusName + ".Error."

// listen subscribes to the signals of the manager and its properties.
func (p peer) listen() <-chan *dbus.Signal {
	p.t.Helper()
	if err := p.conn.AddMatchSignal(dbus.WithMatchSender(api.BusName)); err != nil {
		p.t.Fatal(err)
	}
	signals := make(chan *dbus.Signal, 10000)
	p.conn.Signal(signals)
	return signals
}

// next returns the next signal with that name, passing over others.
func next(t *testing.T, signals <-chan *dbus.Signal, name string) *dbus.Signal {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case sig := <-signals:
			if sig.Name == name {
				return sig
			}
		case <-timeout:
			t.Fatalf("no signal %s", name)
		}
	}
}

// until waits for something to come true.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

func receive[T any](t *testing.T, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("never happened: %s", what)
	}
	return v
}
