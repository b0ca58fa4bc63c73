// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus/object"
	"github.com/godbus/dbus/v5"
)

func TestArgumentsOutOfBounds(t *testing.T) {
	b := &stub{}
	_, private := serve(t, b)
	p := connect(t, private)
	long := func(n int) string { return strings.Repeat("a", n) }

	for _, c := range []struct {
		method string
		args   []any
	}{
		{"Why", []any{"/" + long(object.MaxPath)}},
		{"Why", []any{"/" + long(1<<20)}},
		{"WhyBytes", []any{[]byte("/" + long(object.MaxPath))}},
		{"WhyBytes", []any{[]byte("/a\x00b")}},
		{"Lists", []any{long(object.MaxName + 1), uint32(0), uint32(0)}},
		{"Lists", []any{"a\nb", uint32(0), uint32(0)}},
		{"Show", []any{"evil\x1b[2J"}},
		{"Files", []any{long(object.MaxName + 1), uint32(0), uint32(0)}},
		{"Key", []any{long(object.MaxName + 1)}},
		{"RollbackGrant", []any{long(object.MaxName + 1), "why"}},
		{"RollbackGrant", []any{"bash-1-1.noarch", long(object.MaxReason + 1)}},
		{"RollbackGrant", []any{"bash-1-1.noarch", "forged\nline"}},
		{"RollbackGrant", []any{"bash-1-1.noarch", "\u202egnp.exe"}},
		{"RollbackGrant", []any{"bash-1-1.noarch", ""}},
		{"FloorSet", []any{"bash", "1-1", ""}},
		{"FloorClear", []any{"bash", ""}},
		{"KeyRevoke", []any{"aa", ""}},
		{"KeyRestore", []any{"aa", ""}},
		{"SignerRotate", []any{true, ""}},
	} {
		p.refused("InvalidArgument", c.method, c.args...)
	}
	if len(b.changes) > 0 {
		t.Errorf("refused calls reached the backend: %v", b.changes)
	}
	// An argument just within bounds passes, and a path may have every byte but NUL.
	p.must("Why", "/"+long(object.MaxPath-1))
	p.must("WhyBytes", []byte("/\x01\x1b\xff"))
	p.must("RollbackGrant", long(object.MaxName), long(object.MaxReason))
}

func TestArgumentsOfAnotherType(t *testing.T) {
	_, private := serve(t, &stub{})
	p := connect(t, private)
	const invalid = "org.freedesktop.DBus.Error.InvalidArgs"
	p.refused(invalid, "Why")
	p.refused(invalid, "Why", uint32(1))
	p.refused(invalid, "Why", "/a", "/b")
	p.refused(invalid, "WhyBytes", "/a")
	p.refused(invalid, "Status", "all")
	p.refused(invalid, "Lists", "", "0", "10")
	p.refused("org.freedesktop.DBus.Error.UnknownMethod", "Shutdown")
}

func TestPages(t *testing.T) {
	b := &stub{lists: make([]api.List, api.MaxPage+500)}
	_, private := serve(t, b)
	p := connect(t, private)
	for _, c := range []struct {
		offset, limit uint32
		want          int
	}{
		{0, 0, api.MaxPage},
		{0, 1, 1},
		{0, api.MaxPage, api.MaxPage},
		{api.MaxPage, 0, 500},
		{api.MaxPage + 499, 10, 1},
		{api.MaxPage + 500, 10, 0},
		{math.MaxUint32, api.MaxPage, 0},
	} {
		var page []api.Dict
		var total uint32
		if err := p.try("Lists", "", c.offset, c.limit).Store(&page, &total); err != nil {
			t.Fatal(err)
		}
		if len(page) != c.want || total != api.MaxPage+500 {
			t.Errorf("offset %d, limit %d: %d of %d, want %d", c.offset, c.limit, len(page), total, c.want)
		}
		// Of what a backend returns whole the bus makes pages.
		if err := p.try("Floors", c.offset, c.limit).Store(&page, &total); err != nil {
			t.Fatal(err)
		}
		if len(page) != c.want || total != api.MaxPage+500 {
			t.Errorf("floors, offset %d, limit %d: %d of %d, want %d", c.offset, c.limit, len(page), total, c.want)
		}
	}
	for _, limit := range []uint32{api.MaxPage + 1, math.MaxUint32} {
		p.refused("InvalidArgument", "Lists", "", uint32(0), limit)
		p.refused("InvalidArgument", "Files", "list", uint32(0), limit)
		p.refused("InvalidArgument", "RollbackLog", uint32(0), limit)
		p.refused("InvalidArgument", "Floors", uint32(0), limit)
	}
}

func TestCallerDisconnects(t *testing.T) {
	entered, release, left := make(chan struct{}), make(chan struct{}), make(chan struct{})
	b := &stub{why: func(ctx context.Context, _ api.Actor, path string) (api.Why, error) {
		if path == "/slow" {
			close(entered)
			<-release
			defer close(left)
		}
		return api.Why{Path: path}, nil
	}}
	s, private := serve(t, b)
	gone := connect(t, private)
	gone.conn.Object(api.BusName, api.Path).Go(api.Interface+".Why", 0, nil, "/slow")
	receive(t, "the call", entered)
	gone.conn.Close()
	close(release)
	receive(t, "the end of the call", left)

	connect(t, private).must("Why", "/quick")
	until(t, "no call is in progress", func() bool { calls, _ := s.InProgress(); return calls == 0 })
}

func TestFaultOfTheBackend(t *testing.T) {
	b := &stub{why: func(context.Context, api.Actor, string) (api.Why, error) { panic("what is in memory") }}
	_, private := serve(t, b)
	p := connect(t, private)
	if text := p.refused("Failed", "Why", "/a"); strings.Contains(text, "in memory") {
		t.Errorf("the panic's value left the daemon: %s", text)
	}
	p.must("Status")
}

func TestErrorsKeepTheirParts(t *testing.T) {
	want := &api.Error{Code: api.NotFound, Message: "no such \x00 thing", Advice: "look elsewhere"}
	b := &stub{why: func(context.Context, api.Actor, string) (api.Why, error) { return api.Why{}, want }}
	_, private := serve(t, b)
	err := api.FromDBus(connect(t, private).try("Why", "/a").Err)
	got, ok := err.(*api.Error)
	if !ok || got.Code != want.Code || got.Message != "no such \uFFFD thing" || got.Advice != want.Advice {
		t.Errorf("got %#v, want %#v", err, want)
	}
}

// One caller's flood is turned away, and others are served meanwhile.
func TestFlood(t *testing.T) {
	var once sync.Once
	release := make(chan struct{})
	free := func() { once.Do(func() { close(release) }) }
	defer free()
	b := &stub{why: func(_ context.Context, _ api.Actor, path string) (api.Why, error) {
		if path == "/slow" {
			<-release
		}
		return api.Why{}, nil
	}}
	_, private := serve(t, b)
	flood := connect(t, private)
	const excess = 10
	replies := make(chan *dbus.Call, object.MaxCallsEach+excess)
	for range object.MaxCallsEach + excess {
		flood.conn.Object(api.BusName, api.Path).Go(api.Interface+".Why", 0, replies, "/slow")
	}
	for range excess {
		if err := receive(t, "a refusal", replies).Err; err == nil || api.FromDBus(err).(*api.Error).Code != api.Busy {
			t.Fatalf("got %v, want Busy", err)
		}
	}
	connect(t, private).must("Why", "/quick")
	free()
	for range object.MaxCallsEach {
		if err := receive(t, "an answer", replies).Err; err != nil {
			t.Fatal(err)
		}
	}
}
