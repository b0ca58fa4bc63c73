// SPDX-License-Identifier: Apache-2.0

package object

import (
	"encoding/xml"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/introspect"
)

// Object is what a Server puts on a bus.
type Object struct {
	Name      string          // on the bus
	Path      dbus.ObjectPath // where it is
	Program   string          // that serves it, for texts
	Taken     error           // says that another process has the name
	Interface Interface       // its own; the standard ones come with it
	// Values are those of its properties.
	Values func() map[string]dbus.Variant
	// Refuses is asked before each call of a method; nil refuses none.
	Refuses func(iface, method string) error
	// Announced is called when rpm says that a transaction ended. It must not block.
	Announced func()
	// RefusalWindow is for how long refused calls are counted before they are summed up.
	RefusalWindow time.Duration
}

// Interface is an interface of an object: what is callable and what introspection
// says come from the same table.
type Interface struct {
	Name       string
	Methods    []Method
	Signals    []Event
	Properties []Property
}

// Event describes a signal.
type Event struct {
	Name, Doc string
	Args      []Argument
}

// Property describes a property, which can only be read.
type Property struct {
	Name, Sig string
	Emits     string // whether changes are announced: "true", "false" for never, or "const" for what does not change
	Doc       string
}

const introspectable = "org.freedesktop.DBus.Introspectable"

// LookupObject makes a session the dbus.Handler of its connection. Besides our
// object there are its parents, which only lead to it.
func (s *session) LookupObject(path dbus.ObjectPath) (dbus.ServerObject, bool) {
	if path == s.object.Path {
		return located{s, s.interfaces}, true
	}
	if path == "/" || strings.HasPrefix(string(s.object.Path), string(path)+"/") {
		for _, i := range s.interfaces {
			if i.Name == introspectable {
				return located{s, []Interface{i}}, true
			}
		}
	}
	return nil, false
}

// located is an object on a connection.
type located struct {
	session    *session
	interfaces []Interface
}

// LookupInterface finds an interface; a call may leave its name out, and then
// means whichever has the method.
func (o located) LookupInterface(name string) (dbus.Interface, bool) {
	if name == "" {
		return methods(o), true
	}
	for i := range o.interfaces {
		if o.interfaces[i].Name == name {
			return methods{o.session, o.interfaces[i : i+1]}, true
		}
	}
	return nil, false
}

// methods are the methods of some interfaces on a connection.
type methods struct {
	session    *session
	interfaces []Interface
}

// LookupMethod finds a method by name.
func (m methods) LookupMethod(name string) (dbus.Method, bool) {
	for i := range m.interfaces {
		for j := range m.interfaces[i].Methods {
			if candidate := &m.interfaces[i].Methods[j]; candidate.Name == name {
				return bound{method: candidate, session: m.session, iface: m.interfaces[i].Name}, true
			}
		}
	}
	return nil, false
}

// introspect describes the object at path in the XML of the specification.
func (s *Server) introspect(path dbus.ObjectPath) (string, error) {
	var node introspect.Node
	if path == s.object.Path {
		for _, i := range s.interfaces {
			node.Interfaces = append(node.Interfaces, i.describe())
		}
		node.Interfaces = append(node.Interfaces, introspect.PeerData)
	} else {
		rest := strings.TrimPrefix(string(s.object.Path), strings.TrimSuffix(string(path), "/")+"/")
		child, _, _ := strings.Cut(rest, "/")
		node.Interfaces = []introspect.Interface{introspect.IntrospectData}
		node.Children = []introspect.Node{{Name: child}}
	}
	text, err := xml.MarshalIndent(node, "", " ")
	return strings.TrimSpace(introspect.IntrospectDeclarationString) + "\n" + string(text) + "\n", err
}

func (i Interface) describe() introspect.Interface {
	d := introspect.Interface{Name: i.Name}
	args := func(list []Argument, direction string) (described []introspect.Arg) {
		for _, a := range list {
			described = append(described, introspect.Arg{Name: a.Name, Type: a.Sig, Direction: direction})
		}
		return described
	}
	for _, m := range i.Methods {
		d.Methods = append(d.Methods, introspect.Method{Name: m.Name, Args: append(args(m.In, "in"), args(m.Out, "out")...)})
	}
	for _, e := range i.Signals {
		d.Signals = append(d.Signals, introspect.Signal{Name: e.Name, Args: args(e.Args, "")})
	}
	for _, p := range i.Properties {
		d.Properties = append(d.Properties, introspect.Property{Name: p.Name, Type: p.Sig, Access: "read", Annotations: []introspect.Annotation{
			{Name: "org.freedesktop.DBus.Property.EmitsChangedSignal", Value: p.Emits},
		}})
	}
	return d
}

// standard completes the interface of an object by those that every object has.
func (s *Server) standard(own Interface) []Interface {
	return []Interface{
		own,
		s.propertiesInterface(),
		{
			Name: introspectable,
			Methods: []Method{{
				Name: "Introspect", Out: []Argument{{Name: "xml", Sig: "s"}},
				Call: func(c Call) ([]any, error) {
					text, err := s.introspect(c.Path)
					return []any{text}, err
				},
			}},
		},
	}
}
