// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/godbus/dbus/v5"
)

const propertiesName = "org.freedesktop.DBus.Properties"

// settleTime is the shortest time between two PropertiesChanged: a transaction
// of a thousand packages is not worth a thousand of them.
const settleTime = 100 * time.Millisecond

// properties describes our properties; propertyValues has their values.
func properties() []property {
	return []property{
		{"Version", "s", "const", "Of the daemon."},
		{"Mode", "s", "true", "`enforce`, `withhold` or `audit`."},
		{"State", "s", "true", "`healthy`, or `degraded` when there is an error or warning among the problems."},
		{"Transaction", "b", "true", "A package transaction is in flight."},
		{"ActiveLists", "t", "true", "Lists in the directory."},
		{"WithheldLists", "t", "true", "Lists of packages that are installed but not vouched for."},
		{"QuarantinedLists", "t", "true", "Files that another hand put into the directory or changed there."},
		{"Problems", "t", "true", "What an administrator should know of; `Status` has them."},
		{"Verified", "t", "true", "When the latest verification of everything ended, in microseconds since 1970; 0 if none did."},
		{"VerifyErrors", "t", "true", "How many errors that found."},
		{"Counter", "t", "true", "The number of the last activation. It never falls."},
		{"LastEvent", "t", "true", "The number of the newest entry of the log: when it changes, `Log` has more."},
	}
}

func propertyValues(st api.Status) map[string]dbus.Variant {
	count := func(n int) dbus.Variant { return dbus.MakeVariant(uint64(n)) }
	return map[string]dbus.Variant{
		"Version":          dbus.MakeVariant(api.Clean(st.Version)),
		"Mode":             dbus.MakeVariant(api.Clean(st.Mode)),
		"State":            dbus.MakeVariant(st.State),
		"Transaction":      dbus.MakeVariant(st.Transaction),
		"ActiveLists":      count(st.Lists.Active),
		"WithheldLists":    count(st.Lists.Withheld),
		"QuarantinedLists": count(st.Lists.Quarantined),
		"Problems":         count(len(st.Problems)),
		"Verified":         dbus.MakeVariant(verified(st.Verified)),
		"VerifyErrors":     count(st.Verified.Errors),
		"Counter":          dbus.MakeVariant(st.Counter),
		"LastEvent":        dbus.MakeVariant(st.LastEvent),
	}
}

// verified is when a verification ended, 0 for one that did not.
func verified(v api.Verification) uint64 {
	if v.Ended.IsZero() {
		return 0
	}
	return uint64(v.Ended.UnixMicro())
}

// propertiesInterface is the standard interface to them. None can be set.
func (s *Server) propertiesInterface() iface {
	argInterface := argument{name: "interface", sig: "s", max: maxName}
	argProperty := argument{name: "property", sig: "s", max: maxName}
	unknown := func(what, name string) error {
		return dbus.NewError("org.freedesktop.DBus.Error.Unknown"+what, []any{"no such " + what + ": " + name})
	}
	values := func(c call) (map[string]dbus.Variant, error) {
		if c.text(0) != api.Interface {
			return nil, unknown("Interface", c.text(0))
		}
		return propertyValues(s.status()), nil
	}
	return iface{
		name: propertiesName,
		methods: []method{
			{
				name: "Get", in: []argument{argInterface, argProperty}, out: []argument{{name: "value", sig: "v"}},
				call: func(c call) ([]any, error) {
					all, err := values(c)
					if err != nil {
						return nil, err
					}
					v, ok := all[c.text(1)]
					if !ok {
						return nil, unknown("Property", c.text(1))
					}
					return []any{v}, nil
				},
			},
			{
				name: "GetAll", in: []argument{argInterface}, out: dict("properties"),
				call: func(c call) ([]any, error) {
					all, err := values(c)
					return []any{all}, err
				},
			},
			{
				name: "Set", in: []argument{argInterface, argProperty, {name: "value", sig: "v"}},
				call: func(c call) ([]any, error) {
					return nil, dbus.NewError("org.freedesktop.DBus.Error.PropertyReadOnly", []any{c.text(1) + " can only be read"})
				},
			},
		},
		signals: []event{{name: "PropertiesChanged", args: []argument{
			{name: "interface", sig: "s"}, {name: "changed", sig: "a{sv}"}, {name: "invalidated", sig: "as"},
		}}},
	}
}

// Changed tells the server that the backend's Status may have another content.
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
		s.guard("Status", func() error { now = propertyValues(s.status()); return nil })
		changes := map[string]dbus.Variant{}
		for name, v := range now {
			if known != nil && known[name].Value() != v.Value() {
				changes[name] = v
			}
		}
		if now != nil {
			known = now
		}
		if len(changes) > 0 {
			s.queue.push(signal{propertiesName + ".PropertiesChanged", []any{api.Interface, changes, []string{}}})
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
