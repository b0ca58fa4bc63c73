// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"encoding/xml"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus/bustest"
	"github.com/digestd/digestd/daemon/bus/object"
	"github.com/digestd/digestd/integration/needs"
	"github.com/godbus/dbus/v5"
)

const policyFile = "../../systemd/org.digestd1.policy"

// rules let one user start syncs, and nobody else do anything without the
// password of root.
const rules = `
polkit.addAdminRule(function(action, subject) { return ["unix-user:0"]; });
polkit.addRule(function(action, subject) {
	if (action.id == "org.digestd1.sync" && subject.user == "nobody") return polkit.Result.YES;
	if (action.id == "org.digestd1.own" && subject.user == "nobody") return polkit.Result.NO;
});
`

// The names of polkit on the bus.
const (
	polkitName      = "org.freedesktop.PolicyKit1"
	polkitPath      = "/org/freedesktop/PolicyKit1/Authority"
	polkitInterface = "org.freedesktop.PolicyKit1.Authority"
)

// subject is whom an agent answers for.
type subject struct {
	Kind    string
	Details map[string]dbus.Variant
}

// daemonUser is an account that every distribution has, besides nobody.
const daemonUser = 1

func connectAs(t *testing.T, private *bustest.Bus, uid int) peer {
	t.Helper()
	needs.Root(t)
	return peer{t, private.ConnectAs(uid)}
}

// interactively calls a method as a caller does that can answer questions.
func (p peer) interactively(method string, args ...any) <-chan *dbus.Call {
	done := make(chan *dbus.Call, 1)
	p.send(done, method, args...)
	return done
}

// send does that without waiting; what becomes of the call arrives on done.
func (p peer) send(done chan *dbus.Call, method string, args ...any) {
	msg := &dbus.Message{Type: dbus.TypeMethodCall, Flags: dbus.FlagAllowInteractiveAuthorization, Body: args,
		Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldDestination: dbus.MakeVariant(api.BusName),
			dbus.FieldPath:        dbus.MakeVariant(dbus.ObjectPath(api.Path)),
			dbus.FieldInterface:   dbus.MakeVariant(api.Interface),
			dbus.FieldMember:      dbus.MakeVariant(method),
			dbus.FieldSignature:   dbus.MakeVariant(dbus.SignatureOf(args...)),
		}}
	p.conn.SendWithContext(p.t.Context(), msg, done)
}

func TestPolkitDecides(t *testing.T) {
	needs.Root(t)
	b := &stub{}
	_, private := serve(t, b)
	private.Polkit(policyFile, rules)
	allowed, other := connectAs(t, private, nobody), connectAs(t, private, daemonUser)

	// Reading is free, for everybody.
	allowed.must("Status")
	other.must("Why", "/a")
	allowed.must("Sync")
	other.refused("AccessDenied", "Sync")
	if text := allowed.refused("AccessDenied", "FloorSet", "bash", "1-1", "why"); text != "only an administrator may set or clear a floor, and the call does not allow interactive authorization" {
		t.Errorf("refused with %q", text)
	}
	// A user who may ask, but has nobody to answer, is refused in the end.
	if receive(t, "a refusal", other.interactively("RollbackRevoke", "bash-1-1.noarch")).Err == nil {
		t.Error("authorized by nobody")
	}
	until(t, "the sync ran", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return slices.Equal(b.changes, []string{"Sync"})
	})
	// Root is not asked about.
	connect(t, private).must("FloorSet", "bash", "1-1", "why")
}

func TestPolkitAway(t *testing.T) {
	needs.Root(t)
	_, private := serve(t, &stub{})
	text := connectAs(t, private, nobody).refused("AccessDenied", "Sync")
	if text != "only root may start or cancel a sync, because polkit is not running" {
		t.Errorf("refused with %q", text)
	}
	connect(t, private).must("Sync")

	// It may come later.
	private.Polkit(policyFile, rules)
	connectAs(t, private, nobody).must("Sync")
}

func TestPolkitWithoutOurActions(t *testing.T) {
	needs.Root(t)
	_, private := serve(t, &stub{})
	other := t.TempDir() + "/other.policy"
	if err := os.WriteFile(other, []byte("<policyconfig/>"), 0o644); err != nil {
		t.Fatal(err)
	}
	private.Polkit(other, "")
	text := connectAs(t, private, nobody).refused("AccessDenied", "Sync")
	if !strings.Contains(text, "org.digestd1.sync is not registered") {
		t.Errorf("refused with %q", text)
	}
	connect(t, private).must("Sync")
}

// agent answers for a person: polkit asks it to begin, and it says that root
// gave the password, or nothing.
type agent struct {
	t         *testing.T
	conn      *dbus.Conn
	grants    bool
	began     chan string // what is asked
	once      sync.Once
	cancelled chan struct{}
}

type identity struct {
	Kind    string
	Details map[string]dbus.Variant
}

func (a *agent) BeginAuthentication(action, message, icon string, details map[string]string, cookie string, who []identity) *dbus.Error {
	a.began <- message
	if !a.grants {
		select {
		case <-a.cancelled:
		case <-a.t.Context().Done():
		}
		return dbus.NewError("org.freedesktop.PolicyKit1.Error.Cancelled", nil)
	}
	root := identity{"unix-user", map[string]dbus.Variant{"uid": dbus.MakeVariant(uint32(0))}}
	err := a.conn.Object(polkitName, polkitPath).Call(polkitInterface+".AuthenticationAgentResponse2", 0, uint32(0), cookie, root).Err
	if err != nil {
		return dbus.MakeFailedError(err)
	}
	return nil
}

func (a *agent) CancelAuthentication(cookie string) *dbus.Error {
	a.once.Do(func() { close(a.cancelled) })
	return nil
}

// startAgent answers what callers of this process are asked.
func startAgent(t *testing.T, private *bustest.Bus, grants bool) *agent {
	t.Helper()
	a := &agent{t: t, conn: connect(t, private).conn, grants: grants, began: make(chan string, 8), cancelled: make(chan struct{})}
	const path = "/agent"
	if err := a.conn.Export(a, path, "org.freedesktop.PolicyKit1.AuthenticationAgent"); err != nil {
		t.Fatal(err)
	}
	process := subject{"unix-process", map[string]dbus.Variant{
		"pid": dbus.MakeVariant(uint32(os.Getpid())), "start-time": dbus.MakeVariant(uint64(0)), "uid": dbus.MakeVariant(int32(nobody)),
	}}
	err := a.conn.Object(polkitName, polkitPath).Call(polkitInterface+".RegisterAuthenticationAgent", 0, process, "C", path).Err
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestPolkitAsksAPerson(t *testing.T) {
	needs.Root(t)
	b := &stub{}
	_, private := serve(t, b)
	private.Polkit(policyFile, rules)
	a := startAgent(t, private, true)
	p := connectAs(t, private, nobody)
	if err := receive(t, "the grant", p.interactively("RollbackGrant", "bash-1-1.noarch", "regression")).Err; err != nil {
		t.Fatal(err)
	}
	if asked := receive(t, "the question", a.began); asked != "Authentication is required to decide whether an older version may come back: bash-1-1.noarch" {
		t.Errorf("asked %q", asked)
	}
	if !slices.Equal(b.changes, []string{"RollbackGrant"}) {
		t.Errorf("changed %v", b.changes)
	}
	// A caller that does not allow questions gets none.
	connectAs(t, private, daemonUser).refused("AccessDenied", "FloorClear", "bash", "why")
	select {
	case asked := <-a.began:
		t.Errorf("asked %q", asked)
	default:
	}
}

// When the caller leaves, the question goes from the screen, and what it was
// about is not done.
func TestPolkitCallerLeaves(t *testing.T) {
	needs.Root(t)
	b := &stub{}
	s, private := serve(t, b)
	private.Polkit(policyFile, rules)
	a := startAgent(t, private, false)
	p := connectAs(t, private, nobody)
	p.interactively("FloorClear", "bash", "why")
	receive(t, "the question", a.began)
	// The daemon answers others while it waits.
	connect(t, private).must("Status")
	p.conn.Close()
	receive(t, "the end of the question", a.cancelled)
	until(t, "nobody waits", func() bool { _, waiting := s.InProgress(); return waiting == 0 })
	if len(b.changes) > 0 {
		t.Errorf("changed %v", b.changes)
	}
}

// Stopping does not wait for a person.
func TestPolkitDaemonStops(t *testing.T) {
	needs.Root(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	private := bustest.Start(t)
	s, err := Serve(ctx, private.Address, &stub{}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	private.Polkit(policyFile, rules)
	a := startAgent(t, private, false)
	connectAs(t, private, nobody).interactively("FloorClear", "bash", "why")
	receive(t, "the question", a.began)
	cancel()
	receive(t, "the end of the question", a.cancelled)
	s.Close()
}

func TestPolkitIsNotFlooded(t *testing.T) {
	needs.Root(t)
	_, private := serve(t, &stub{})
	private.Polkit(policyFile, rules)
	a := startAgent(t, private, false)
	p := connectAs(t, private, nobody)
	answers := make(chan *dbus.Call, object.MaxWaitingEach+1)
	for range object.MaxWaitingEach + 1 {
		p.send(answers, "FloorClear", "bash", "why")
	}
	receive(t, "a question", a.began)
	if err, ok := api.FromDBus(receive(t, "a refusal", answers).Err).(*api.Error); !ok || err.Code != api.Busy {
		t.Errorf("got %v, want Busy", err)
	}
	// Others get their turn.
	connectAs(t, private, daemonUser).refused("AccessDenied", "Sync")
}

// A long query ends when nobody waits for it any more.
func TestLongQueryEndsWithItsCaller(t *testing.T) {
	entered, ended := make(chan struct{}), make(chan struct{})
	b := &stub{why: func(ctx context.Context, _ api.Actor, path string) (api.Why, error) {
		close(entered)
		<-ctx.Done()
		close(ended)
		return api.Why{}, ctx.Err()
	}}
	_, private := serve(t, b)
	p := connect(t, private)
	p.conn.Object(api.BusName, api.Path).Go(api.Interface+".Why", 0, nil, "/large")
	receive(t, "the call", entered)
	p.conn.Close()
	receive(t, "its end", ended)
}

// polkit knows our actions and no others, and lets nobody do any of them who
// has not shown to be an administrator.
func TestPolicyFile(t *testing.T) {
	data, err := os.ReadFile(policyFile)
	if err != nil {
		t.Fatal(err)
	}
	var policy struct {
		Actions []struct {
			ID          string `xml:"id,attr"`
			Description string `xml:"description"`
			Message     string `xml:"message"`
			Any         string `xml:"defaults>allow_any"`
			Inactive    string `xml:"defaults>allow_inactive"`
			Active      string `xml:"defaults>allow_active"`
		} `xml:"action"`
	}
	if err := xml.Unmarshal(data, &policy); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, a := range policy.Actions {
		ids = append(ids, a.ID)
		active := "auth_admin_keep"
		if a.ID == actionGuard.Name || a.ID == actionAnchor.Name {
			active = "auth_admin" // for each time: it decides about all that runs
		}
		if a.Any != "auth_admin" || a.Inactive != "auth_admin" || a.Active != active || a.Description == "" || a.Message == "" {
			t.Errorf("%s: %+v", a.ID, a)
		}
	}
	var used []string
	for _, m := range (&Server{}).table().Methods {
		used = append(used, m.Action.Name)
		if m.Action != object.Free && m.Action.Words == "" {
			t.Errorf("%s has no words for a refusal in actions.go", m.Action.Name)
		}
		if m.Action != object.Free && !slices.Contains(ids, m.Action.Name) {
			t.Errorf("%s needs %s, which is not in %s", m.Name, m.Action.Name, policyFile)
		}
	}
	for _, id := range ids {
		if !slices.Contains(used, id) {
			t.Errorf("%s is in %s; no method needs it", id, policyFile)
		}
	}
}
