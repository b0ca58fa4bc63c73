// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"encoding/xml"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus/object"
	"github.com/digestd/digestd/daemon/bus/sieve"
	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/introspect"
	"github.com/google/go-cmp/cmp"
)

// The standard interfaces of an object.
const (
	propertiesName = "org.freedesktop.DBus.Properties"
	introspectable = "org.freedesktop.DBus.Introspectable"
)

func introspectAt(t *testing.T, p peer, path dbus.ObjectPath) introspect.Node {
	t.Helper()
	var text string
	if err := p.conn.Object(api.BusName, path).Call(introspectable+".Introspect", 0).Store(&text); err != nil {
		t.Fatal(err)
	}
	var node introspect.Node
	if err := xml.Unmarshal([]byte(text), &node); err != nil {
		t.Fatal(err)
	}
	return node
}

// Introspection has exactly the methods that can be called: every method, with these types and
// no others.
func TestIntrospection(t *testing.T) {
	s, private := serve(t, &stub{lists: []api.List{{Name: "a"}}})
	p := connect(t, private)
	node := introspectAt(t, p, api.Path)
	byName := map[string]introspect.Interface{}
	for _, i := range node.Interfaces {
		byName[i.Name] = i
	}
	manager := byName[api.Interface]
	if len(manager.Methods) != len(s.table().Methods) || len(manager.Methods) < 18 {
		t.Errorf("%d methods in the XML, %d in the table", len(manager.Methods), len(s.table().Methods))
	}
	for i, m := range s.table().Methods {
		described := manager.Methods[i]
		if described.Name != m.Name {
			t.Errorf("method %d is %s in the XML, %s in the table", i, described.Name, m.Name)
		}
		in, out := "", ""
		for _, a := range described.Args {
			if a.Name == "" {
				t.Errorf("%s has an argument without a name", m.Name)
			}
			if a.Direction == "in" {
				in += a.Type
			} else {
				out += a.Type
			}
		}
		if in != object.Signature(m.In) || out != object.Signature(m.Out) {
			t.Errorf("%s is %s→%s in the XML, %s→%s in the table", m.Name, in, out, object.Signature(m.In), object.Signature(m.Out))
		}
		if m.Name == "Cancel" {
			continue // there is no job to cancel
		}
		body := p.must(m.Name, plausible(m)...)
		if got := dbus.SignatureOf(body...).String(); got != out {
			t.Errorf("%s returned %s, not %s", m.Name, got, out)
		}
	}
	for _, name := range []string{propertiesName, introspectable, "org.freedesktop.DBus.Peer"} {
		if _, ok := byName[name]; !ok {
			t.Errorf("interface %s is missing", name)
		}
	}
	for _, path := range []dbus.ObjectPath{"/", "/org"} {
		if parent := introspectAt(t, p, path); len(parent.Children) != 1 {
			t.Errorf("%s leads to %v", path, parent.Children)
		}
	}
	if err := p.conn.Object(api.BusName, "/elsewhere").Call(introspectable+".Introspect", 0).Err; err == nil {
		t.Error("there is an object where none should be")
	}
}

// Every signal of the table is sent with the types that the table says.
func TestSignals(t *testing.T) {
	s, private := serve(t, &stub{sync: func(_ context.Context, report func(string, int, int)) (api.SyncResult, error) {
		report("stage", 1, 2)
		return api.SyncResult{}, nil
	}})
	p := connect(t, private)
	signals := p.listen()
	s.ListPublished("list\xff", "nevra\x00")
	s.ListWithdrawn("list", "nevra", "reason")
	s.RollbackRefused("nevra", "reason")
	s.KeyRevoked("aabb", "reason", 1)
	s.Denied("d-1", "what\xff", "reason")
	s.DenialLifted("d-1", "what", "reason\x00")
	s.TamperDetected("name\xff", "reason")
	s.TransactionFinished(1, 2)
	p.must("Sync")
	want := map[string]string{}
	for _, d := range s.table().Signals {
		want[api.Interface+"."+d.Name] = object.Signature(d.Args)
	}
	got := map[string]string{}
	for len(got) < len(want) {
		sig := receive(t, "all signals", signals)
		if _, ours := want[sig.Name]; ours {
			got[sig.Name] = dbus.SignatureOf(sig.Body...).String()
		}
		if sig.Path != api.Path {
			t.Errorf("%s came from %s", sig.Name, sig.Path)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestProperties(t *testing.T) {
	b := &stub{status: api.Status{Version: "1", Mode: "enforce"}}
	s, private := serve(t, b)
	p := connect(t, private)
	object := p.conn.Object(api.BusName, api.Path)
	var all map[string]dbus.Variant
	if err := object.Call(propertiesName+".GetAll", 0, api.Interface).Store(&all); err != nil {
		t.Fatal(err)
	}
	for _, d := range properties() {
		v, err := object.GetProperty(api.Interface + "." + d.Name)
		if err != nil {
			t.Fatal(err)
		}
		if v.Signature().String() != d.Sig || all[d.Name].Signature().String() != d.Sig {
			t.Errorf("%s is %s and %s, not %s", d.Name, v.Signature(), all[d.Name].Signature(), d.Sig)
		}
		delete(all, d.Name)
	}
	if len(all) > 0 {
		t.Errorf("not described: %v", all)
	}
	for _, c := range []struct {
		method, want string
		args         []any
	}{
		{"Get", "UnknownProperty", []any{api.Interface, "Nothing"}},
		{"Get", "UnknownInterface", []any{"org.example", "Mode"}},
		{"GetAll", "UnknownInterface", []any{"org.example"}},
		{"Set", "PropertyReadOnly", []any{api.Interface, "Mode", dbus.MakeVariant("audit")}},
	} {
		err, _ := object.Call(propertiesName+"."+c.method, 0, c.args...).Err.(dbus.Error)
		if err.Name != "org.freedesktop.DBus.Error."+c.want {
			t.Errorf("%s%v: got %v, want %s", c.method, c.args, err, c.want)
		}
	}

	signals := p.listen()
	b.mu.Lock()
	b.status.Mode, b.status.Problems = "audit", []api.Problem{{ID: "a", Severity: api.SeverityError}}
	b.mu.Unlock()
	s.Changed()
	sig := next(t, signals, propertiesName+".PropertiesChanged")
	changed := sig.Body[1].(map[string]dbus.Variant)
	want := map[string]any{"Mode": "audit", "Problems": uint64(1), "State": api.Degraded}
	got := map[string]any{}
	for name, v := range changed {
		got[name] = v.Value()
	}
	if diff := cmp.Diff(want, got); diff != "" || sig.Body[0] != api.Interface {
		t.Errorf("%v\n%s", sig.Body[0], diff)
	}
	// A property that may change says so, and the other way round.
	for _, d := range properties() {
		if _, ok := changed[d.Name]; ok && d.Emits != "true" {
			t.Errorf("%s changed, but is announced as %s", d.Name, d.Emits)
		}
	}
}

// The arguments of each method can be decoded: sieve knows only the types that methods take.
func TestArgumentsCanBeDecoded(t *testing.T) {
	for _, m := range Methods() {
		if !sieve.Takes(m.In) {
			t.Errorf("%s takes %q", m.Name, m.In)
		}
	}
}
