// SPDX-License-Identifier: Apache-2.0

package object

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus/bustest"
	"github.com/digestd/digestd/integration/needs"
	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/introspect"
)

const (
	shelfName = "org.example.Shelf"
	shelfPath = "/org/example/Shelf"
)

var errTaken = errors.New("somebody has the name")

// shelf is a small object on a real bus.
type shelf struct {
	*testing.T
	*Server
	bus       *bustest.Bus
	count     atomic.Int64 // its property
	announced atomic.Int64 // transactions
	entered   chan context.Context
}

// object is what a shelf serves.
func (s *shelf) object() Object {
	text := func(name string, most int) Argument { return Argument{Name: name, Sig: "s", Max: most} }
	return Object{
		Name: shelfName, Path: shelfPath, Program: "shelfd", Taken: errTaken, RefusalWindow: 50 * time.Millisecond,
		Announced: func() { s.announced.Add(1) },
		Refuses: func(iface, method string) error {
			if method == "Closed" {
				return api.Errorf(api.Busy, "%s.%s is closed", iface, method)
			}
			return nil
		},
		Values: func() map[string]dbus.Variant {
			return map[string]dbus.Variant{"Count": dbus.MakeVariant(s.count.Load())}
		},
		Interface: Interface{
			Name:       shelfName,
			Properties: []Property{{Name: "Count", Sig: "x", Emits: "true"}},
			Signals:    []Event{{Name: "Grown", Args: []Argument{{Name: "by", Sig: "x"}}}},
			Methods: []Method{
				{Name: "Echo", In: []Argument{text("word", 8)}, Out: []Argument{{Name: "word", Sig: "s"}},
					Call: func(c Call) ([]any, error) { return []any{c.Text(0)}, nil }},
				{Name: "Who", Caller: true, Out: []Argument{{Name: "uid", Sig: "u"}},
					Call: func(c Call) ([]any, error) { return []any{c.By.UID}, nil }},
				{Name: "Wait", Caller: true, Call: func(c Call) ([]any, error) {
					s.entered <- c.Ctx
					<-c.Ctx.Done()
					return nil, context.Cause(c.Ctx)
				}},
				{Name: "Fall", Call: func(Call) ([]any, error) { panic("a fault") }},
				{Name: "Closed", Call: func(Call) ([]any, error) { return nil, nil }},
				{Name: "Page", In: []Argument{{Name: "offset", Sig: "u"}, {Name: "limit", Sig: "u"}}, Out: []Argument{{Name: "limit", Sig: "u"}},
					Call: func(c Call) ([]any, error) {
						_, limit, err := c.Page(0)
						return []any{limit}, err
					}},
				{Name: "Empty", Action: Action{"org.example.empty", "empty the shelf"}, In: []Argument{text("reason", 100)},
					Call: func(Call) ([]any, error) { s.count.Store(0); return nil, nil }},
				{Name: "Sort", Caller: true, In: []Argument{text("how", 20)}, Out: []Argument{{Name: "job", Sig: "t"}},
					Call: func(c Call) ([]any, error) {
						job, err := s.StartJob(c.By, "Sort", s.sort(c.Text(0)))
						return []any{job}, err
					}},
				{Name: "Cancel", Caller: true, In: []Argument{{Name: "job", Sig: "t"}},
					Call: func(c Call) ([]any, error) { return nil, s.Cancel(c.By, c.Args[0].(uint64)) }},
			},
		},
	}
}

// sort is a job that ends as it is told to.
func (s *shelf) sort(how string) func(context.Context, func(string, int, int)) (any, error) {
	return func(ctx context.Context, report func(string, int, int)) (any, error) {
		switch how {
		case "for ever":
			<-ctx.Done()
			return nil, ctx.Err()
		case "badly":
			return nil, &api.Error{Code: api.Failed, Message: "a book fell", Advice: "pick it up"}
		case "falling":
			panic("the shelf fell")
		}
		for i := range 1000 {
			report("sorting", i, 1000)
		}
		report("sorting", 1000, 1000)
		return struct {
			Books int `json:"books"`
		}{7}, nil
	}
}

// newShelf serves a shelf until the test ends.
func newShelf(t *testing.T) *shelf {
	t.Helper()
	s := &shelf{T: t, bus: bustest.Start(t), entered: make(chan context.Context, 10)}
	s.count.Store(3)
	s.Server = New(slog.New(slog.NewTextHandler(testWriter{t}, nil)))
	if err := s.Serve(context.Background(), s.bus.Address, s.object()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

type testWriter struct{ *testing.T }

func (w testWriter) Write(p []byte) (int, error) { w.Logf("%s", p); return len(p), nil }

// connect is this process on the bus.
func (s *shelf) connect() *dbus.Conn {
	s.Helper()
	conn, err := dbus.Connect(s.bus.Address)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { conn.Close() })
	return conn
}

func call(conn *dbus.Conn, method string, args ...any) *dbus.Call {
	return conn.Object(shelfName, shelfPath).Call(shelfName+"."+method, 0, args...)
}

// fails wants a call to end with a code and words.
func fails(t *testing.T, c *dbus.Call, code api.Code, words string) {
	t.Helper()
	e, ok := api.FromDBus(c.Err).(*api.Error)
	if !ok || e.Code != code || !strings.Contains(e.Message, words) {
		t.Errorf("%s: %v, want %s with %q", c.Method, c.Err, code, words)
	}
}

// busRefuses wants an error of the bus's own.
func busRefuses(t *testing.T, c *dbus.Call, name string) {
	t.Helper()
	var e dbus.Error
	if !errors.As(c.Err, &e) || e.Name != "org.freedesktop.DBus.Error."+name {
		t.Errorf("%s: %v, want %s", c.Method, c.Err, name)
	}
}

func TestCalls(t *testing.T) {
	s := newShelf(t)
	conn := s.connect()
	var word string
	if err := call(conn, "Echo", "größer").Store(&word); err != nil || word != "größer" {
		t.Errorf("echo is %q, %v", word, err)
	}
	fails(t, call(conn, "Echo", "much too long"), api.InvalidArgument, "word has 13 bytes; at most 8 are allowed")
	fails(t, call(conn, "Echo", "a\x1b[2J"), api.InvalidArgument, "word contains an unprintable character")
	busRefuses(t, call(conn, "Echo", uint32(1)), "InvalidArgs")
	busRefuses(t, call(conn, "Nothing"), "UnknownMethod")
	fails(t, call(conn, "Fall"), api.Failed, "shelfd had an internal error in org.example.Shelf.Fall")
	fails(t, call(conn, "Closed"), api.Busy, "org.example.Shelf.Closed is closed")
	var limit uint32
	if err := call(conn, "Page", uint32(0), uint32(0)).Store(&limit); err != nil || limit != api.MaxPage {
		t.Errorf("a page has %d elements, %v", limit, err)
	}
	fails(t, call(conn, "Page", uint32(0), uint32(api.MaxPage+1)), api.InvalidArgument, "a reply carries at most")
	if c := call(conn, "Empty", "test"); c.Err != nil || s.count.Load() != 0 {
		t.Errorf("who runs the program may not: %v", c.Err)
	}
	if calls, waiting := s.InProgress(); calls != 0 || waiting != 0 {
		t.Errorf("%d calls and %d questions are left", calls, waiting)
	}
}

func TestProperties(t *testing.T) {
	s := newShelf(t)
	conn := s.connect()
	o := conn.Object(shelfName, shelfPath)
	if v, err := o.GetProperty(shelfName + ".Count"); err != nil || v.Value() != int64(3) {
		t.Errorf("count is %v, %v", v, err)
	}
	busRefuses(t, o.Call(propertiesName+".Get", 0, shelfName, "Weight"), "UnknownProperty")
	busRefuses(t, o.Call(propertiesName+".GetAll", 0, "org.example.Other"), "UnknownInterface")
	busRefuses(t, o.Call(propertiesName+".Set", 0, shelfName, "Count", dbus.MakeVariant(int64(9))), "PropertyReadOnly")
	var all map[string]dbus.Variant
	if err := o.Call(propertiesName+".GetAll", 0, shelfName).Store(&all); err != nil || len(all) != 1 {
		t.Errorf("all properties: %v, %v", all, err)
	}
	heard := listen(t, conn)
	s.count.Store(4)
	s.Send("Grown", int64(1))
	if sig := heard("Grown"); sig.Body[0] != int64(1) {
		t.Errorf("grown by %v", sig.Body)
	}
	if sig := heard("PropertiesChanged"); sig.Body[1].(map[string]dbus.Variant)["Count"].Value() != int64(4) {
		t.Errorf("changed: %v", sig.Body)
	}
}

// listen returns what waits for a signal of the shelf.
func listen(t *testing.T, conn *dbus.Conn) func(member string) *dbus.Signal {
	t.Helper()
	if err := conn.AddMatchSignal(dbus.WithMatchObjectPath(shelfPath)); err != nil {
		t.Fatal(err)
	}
	signals := make(chan *dbus.Signal, 100)
	conn.Signal(signals)
	return func(member string) *dbus.Signal {
		t.Helper()
		for late := time.After(20 * time.Second); ; {
			select {
			case sig := <-signals:
				if strings.HasSuffix(sig.Name, "."+member) {
					return sig
				}
			case <-late:
				t.Fatalf("%s was not told", member)
			}
		}
	}
}

func TestIntrospection(t *testing.T) {
	conn := newShelf(t).connect()
	node, err := introspect.Call(conn.Object(shelfName, shelfPath))
	if err != nil {
		t.Fatal(err)
	}
	has := map[string]introspect.Interface{}
	for _, i := range node.Interfaces {
		has[i.Name] = i
	}
	if i := has[shelfName]; len(i.Methods) != 9 || len(i.Signals) != 1 || len(i.Properties) != 1 || i.Methods[0].Args[0].Type != "s" {
		t.Errorf("described as %+v", i)
	}
	if len(has[propertiesName].Methods) != 3 || len(has[introspectable].Methods) != 1 {
		t.Errorf("the standard interfaces are %+v", has)
	}
	for path, child := range map[dbus.ObjectPath]string{"/": "org", "/org/example": "Shelf"} {
		node, err := introspect.Call(conn.Object(shelfName, path))
		if err != nil || len(node.Children) != 1 || node.Children[0].Name != child {
			t.Errorf("%s: %+v, %v", path, node, err)
		}
	}
	if _, err := introspect.Call(conn.Object(shelfName, "/elsewhere")); err == nil {
		t.Error("there is something elsewhere")
	}
}

func TestJobs(t *testing.T) {
	s := newShelf(t)
	conn := s.connect()
	heard := listen(t, conn)
	start := func(how string) (job uint64) {
		t.Helper()
		if err := call(conn, "Sort", how).Store(&job); err != nil {
			t.Fatal(err)
		}
		return job
	}
	// ends is how the job is told to have ended.
	ends := func(job uint64) (ok bool, result api.Dict) {
		t.Helper()
		sig := heard("JobFinished")
		if sig.Body[0] != job {
			t.Errorf("job %v ended, not %d", sig.Body[0], job)
		}
		return sig.Body[1].(bool), sig.Body[2].(map[string]dbus.Variant)
	}
	if ok, result := ends(start("well")); !ok || fmt.Sprint(result["books"].Value()) != "7" {
		t.Errorf("sorted: %v %v", ok, result)
	}
	if ok, result := ends(start("badly")); ok || result["message"].Value() != "a book fell" || result["advice"].Value() != "pick it up" {
		t.Errorf("sorted badly: %v %v", ok, result)
	}
	if ok, result := ends(start("falling")); ok || !strings.Contains(fmt.Sprint(result["message"].Value()), "an internal error in Sort") {
		t.Errorf("fallen: %v %v", ok, result)
	}
	job := start("for ever")
	if c := call(conn, "Cancel", job); c.Err != nil {
		t.Fatal(c.Err)
	}
	if ok, result := ends(job); ok || result["message"].Value() != "the sort was cancelled" {
		t.Errorf("cancelled: %v %v", ok, result)
	}
	fails(t, call(conn, "Cancel", job), api.NotFound, "it ended or never existed")
	for range MaxJobs {
		start("for ever")
	}
	fails(t, call(conn, "Sort", "well"), api.Busy, "too many jobs")
	s.Close() // ends them all
	if _, err := s.StartJob(api.Actor{}, "Sort", s.sort("well")); err == nil {
		t.Error("a job began after the end")
	}
}

// Ordinary users may call what is free. Polkit decides the rest, and is not there.
func TestOrdinaryUser(t *testing.T) {
	needs.Root(t)
	s := newShelf(t)
	user := s.bus.ConnectAs(65534)
	var uid uint32
	if err := call(user, "Who").Store(&uid); err != nil || uid != 65534 {
		t.Errorf("called by %d, %v", uid, err)
	}
	fails(t, call(user, "Empty", "mine"), api.AccessDenied, "only root may empty the shelf, because polkit is not running")
	if s.count.Load() != 3 {
		t.Error("the shelf was emptied")
	}
	var job uint64
	if err := call(s.connect(), "Sort", "for ever").Store(&job); err != nil {
		t.Fatal(err)
	}
	fails(t, call(user, "Cancel", job), api.AccessDenied, fmt.Sprintf("you have no running job %d", job))
}

// One connection, and one user, have so many calls in progress and no more. A call
// whose caller leaves ends.
func TestCrowd(t *testing.T) {
	s := newShelf(t)
	conn := s.connect()
	for range MaxCallsEach {
		go call(conn, "Wait")
	}
	var last context.Context
	for range MaxCallsEach {
		select {
		case last = <-s.entered:
		case <-time.After(20 * time.Second):
			t.Fatal("a call is not carried out")
		}
	}
	fails(t, call(conn, "Echo", "x"), api.Busy, "too many calls are in progress")
	if c := call(s.connect(), "Echo", "x"); c.Err != nil {
		t.Errorf("another connection: %v", c.Err)
	}
	time.Sleep(longCall + 100*time.Millisecond) // from then on it is watched whether the caller stays
	conn.Close()
	select {
	case <-last.Done():
	case <-time.After(20 * time.Second):
		t.Error("a call goes on whose caller left")
	}
}

// The name is taken, the bus goes away and comes back.
func TestBusComesAndGoes(t *testing.T) {
	s := newShelf(t)
	second := New(slog.New(slog.DiscardHandler))
	if err := second.Serve(t.Context(), s.bus.Address, s.object()); !errors.Is(err, errTaken) {
		t.Errorf("the name is taken: %v", err)
	}
	if err := New(slog.New(slog.DiscardHandler)).Serve(t.Context(), "nonsense", s.object()); err == nil {
		t.Error("served at an address that is none")
	}
	s.bus.Stop()
	until(t, "the bus has gone", func() bool { return !s.Connected() })
	s.Send("Grown", int64(1)) // which nobody hears
	s.bus.Start()
	until(t, "it is on the bus again", s.Connected)
	if c := call(s.connect(), "Echo", "x"); c.Err != nil {
		t.Error(c.Err)
	}
	s.Close()
	if s.Connected() {
		t.Error("closed, and connected")
	}
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// rpm's announcements count when root makes them by rpm's name.
func TestAnnouncements(t *testing.T) {
	needs.Root(t)
	s := newShelf(t)
	conn := s.connect()
	say := func(member string) {
		t.Helper()
		err := conn.Emit(rpmPath, rpmInterface+"."+member, "cookie", uint32(1))
		if err == nil {
			err = conn.BusObject().Call("org.freedesktop.DBus.GetId", 0).Err
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	say("EndTransaction") // by nobody
	if reply, err := conn.RequestName(rpmName, dbus.NameFlagDoNotQueue); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatal(reply, err)
	}
	say("StartTransaction")
	say("EndTransaction")
	until(t, "the end of a transaction is heard", func() bool { return s.announced.Load() == 1 })
	say("EndTransactionDetails")
	until(t, "its details are heard", func() bool { return s.announced.Load() == 2 })
	if _, err := conn.ReleaseName(rpmName); err != nil {
		t.Fatal(err)
	}
	user := s.bus.ConnectAs(65534)
	if _, err := user.RequestName(rpmName, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	if err := user.Emit(rpmPath, rpmInterface+".EndTransaction", "cookie", uint32(1)); err != nil {
		t.Fatal(err)
	}
	if c := call(user, "Echo", "x"); c.Err != nil { // heard after it
		t.Fatal(c.Err)
	}
	time.Sleep(50 * time.Millisecond)
	if n := s.announced.Load(); n != 2 {
		t.Errorf("%d announcements counted, one of them by a user", n)
	}
}
