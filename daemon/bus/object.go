// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"encoding/xml"
	"strings"

	"github.com/digestd/digestd/daemon/api"
	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/introspect"
)

// iface is an interface of our object: what is callable and what introspection
// says come from the same table.
type iface struct {
	name       string
	methods    []method
	signals    []event
	properties []property
}

// event describes a signal.
type event struct {
	name, doc string
	args      []argument
}

// property describes a property, which can only be read.
type property struct {
	name, sig string
	emits     string // whether changes are announced: "true", or "const" for never
	doc       string
}

const introspectable = "org.freedesktop.DBus.Introspectable"

// LookupObject makes a session the dbus.Handler of its connection. Besides our
// object there are its parents, which only lead to it.
func (s *session) LookupObject(path dbus.ObjectPath) (dbus.ServerObject, bool) {
	if path == api.Path {
		return object{s, s.interfaces}, true
	}
	if path == "/" || strings.HasPrefix(api.Path, string(path)+"/") {
		for _, i := range s.interfaces {
			if i.name == introspectable {
				return object{s, []iface{i}}, true
			}
		}
	}
	return nil, false
}

// object is an object on a connection.
type object struct {
	session    *session
	interfaces []iface
}

// LookupInterface finds an interface; a call may leave its name out, and then
// means whichever has the method.
func (o object) LookupInterface(name string) (dbus.Interface, bool) {
	if name == "" {
		return methods{o.session, o.interfaces}, true
	}
	for i := range o.interfaces {
		if o.interfaces[i].name == name {
			return methods{o.session, o.interfaces[i : i+1]}, true
		}
	}
	return nil, false
}

// methods are the methods of some interfaces on a connection.
type methods struct {
	session    *session
	interfaces []iface
}

// LookupMethod finds a method by name.
func (m methods) LookupMethod(name string) (dbus.Method, bool) {
	for i := range m.interfaces {
		for j := range m.interfaces[i].methods {
			if candidate := &m.interfaces[i].methods[j]; candidate.name == name {
				return bound{method: candidate, session: m.session, iface: m.interfaces[i].name}, true
			}
		}
	}
	return nil, false
}

// introspect describes the object at path in the XML of the specification.
func (s *Server) introspect(path dbus.ObjectPath) (string, error) {
	var node introspect.Node
	if path == api.Path {
		for _, i := range s.interfaces {
			node.Interfaces = append(node.Interfaces, i.describe())
		}
		node.Interfaces = append(node.Interfaces, introspect.PeerData)
	} else {
		rest := strings.TrimPrefix(api.Path, strings.TrimSuffix(string(path), "/")+"/")
		child, _, _ := strings.Cut(rest, "/")
		node.Interfaces = []introspect.Interface{introspect.IntrospectData}
		node.Children = []introspect.Node{{Name: child}}
	}
	text, err := xml.MarshalIndent(node, "", " ")
	return strings.TrimSpace(introspect.IntrospectDeclarationString) + "\n" + string(text) + "\n", err
}

func (i iface) describe() introspect.Interface {
	d := introspect.Interface{Name: i.name}
	args := func(list []argument, direction string) (described []introspect.Arg) {
		for _, a := range list {
			described = append(described, introspect.Arg{Name: a.name, Type: a.sig, Direction: direction})
		}
		return described
	}
	for _, m := range i.methods {
		d.Methods = append(d.Methods, introspect.Method{Name: m.name, Args: append(args(m.in, "in"), args(m.out, "out")...)})
	}
	for _, e := range i.signals {
		d.Signals = append(d.Signals, introspect.Signal{Name: e.name, Args: args(e.args, "")})
	}
	for _, p := range i.properties {
		d.Properties = append(d.Properties, introspect.Property{Name: p.name, Type: p.sig, Access: "read", Annotations: []introspect.Annotation{
			{Name: "org.freedesktop.DBus.Property.EmitsChangedSignal", Value: p.emits},
		}})
	}
	return d
}
