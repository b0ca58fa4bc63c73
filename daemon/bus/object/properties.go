// SPDX-License-Identifier: Apache-2.0

package object

import (
	"time"

	"github.com/godbus/dbus/v5"
)

const propertiesName = "org.freedesktop.DBus.Properties"

// settleTime is the shortest time between two PropertiesChanged: a transaction
// of a thousand packages is not worth a thousand of them.
const settleTime = 100 * time.Millisecond

// propertiesInterface is the standard interface to them. None can be set.
func (s *Server) propertiesInterface() Interface {
	argInterface := Argument{Name: "interface", Sig: "s", Max: MaxName}
	argProperty := Argument{Name: "property", Sig: "s", Max: MaxName}
	unknown := func(what, name string) error {
		return dbus.NewError("org.freedesktop.DBus.Error.Unknown"+what, []any{"no such " + what + ": " + name})
	}
	values := func(c Call) (map[string]dbus.Variant, error) {
		if c.Text(0) != s.object.Interface.Name {
			return nil, unknown("Interface", c.Text(0))
		}
		return s.object.Values(), nil
	}
	return Interface{
		Name: propertiesName,
		Methods: []Method{
			{
				Name: "Get", In: []Argument{argInterface, argProperty}, Out: []Argument{{Name: "value", Sig: "v"}},
				Call: func(c Call) ([]any, error) {
					all, err := values(c)
					if err != nil {
						return nil, err
					}
					v, ok := all[c.Text(1)]
					if !ok {
						return nil, unknown("Property", c.Text(1))
					}
					return []any{v}, nil
				},
			},
			{
				Name: "GetAll", In: []Argument{argInterface}, Out: []Argument{{Name: "properties", Sig: "a{sv}"}},
				Call: func(c Call) ([]any, error) {
					all, err := values(c)
					return []any{all}, err
				},
			},
			{
				Name: "Set", In: []Argument{argInterface, argProperty, {Name: "value", Sig: "v"}},
				Call: func(c Call) ([]any, error) {
					return nil, dbus.NewError("org.freedesktop.DBus.Error.PropertyReadOnly", []any{c.Text(1) + " can only be read"})
				},
			},
		},
		Signals: []Event{{Name: "PropertiesChanged", Args: []Argument{
			{Name: "interface", Sig: "s"}, {Name: "changed", Sig: "a{sv}"}, {Name: "invalidated", Sig: "as"},
		}}},
	}
}

// Changed tells the server that the object's properties may have other values.
// It never blocks.
func (s *Server) Changed() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// watchProperties sends PropertiesChanged when Changed was called and something
// did change.
func (s *Server) watchProperties() {
	var known map[string]dbus.Variant
	for {
		var now map[string]dbus.Variant
		s.guard("Status", func() error { now = s.object.Values(); return nil })
		changes := map[string]dbus.Variant{}
		for _, p := range s.object.Interface.Properties {
			if v := now[p.Name]; known != nil && now != nil && p.Emits == "true" && known[p.Name].Value() != v.Value() {
				changes[p.Name] = v
			}
		}
		if now != nil {
			known = now
		}
		if len(changes) > 0 {
			s.queue.push(signal{propertiesName + ".PropertiesChanged", []any{s.object.Interface.Name, changes, []string{}}})
		}
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(settleTime):
		}
		select {
		case <-s.ctx.Done():
			return
		case <-s.changed:
		}
	}
}
