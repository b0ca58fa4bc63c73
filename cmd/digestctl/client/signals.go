// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"fmt"
	"strings"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus"
	"github.com/godbus/dbus/v5"
)

// Kind is what a Signal is about.
type Kind int

// The kinds of signals.
const (
	Said    Kind = iota // digestd told of something: Name says of what, Fields has its values
	Changed             // properties of digestd: Fields has those that are others now
	Arrived             // a digestd has the name on the bus
	Left                // none has it any more
)

// Signal is what digestd says by itself, or the bus about it.
type Signal struct {
	Kind   Kind
	Name   string         // of a Said: in org.digestd1
	Fields map[string]any // by their names there; a newer digestd's are value0 and so on
}

// Signals are those that come on one connection, in their order.
type Signals struct {
	raw       chan *dbus.Signal
	arguments map[string][]string // by the name of a signal
}

// followRules are all signals of digestd's object, whichever process owns its name at
// the time, and the changes of that owner.
var followRules = [][]dbus.MatchOption{
	{dbus.WithMatchSender(api.BusName), dbus.WithMatchObjectPath(api.Path)},
	ownerRule,
}

// Follow subscribes to all signals; digestd need not be there.
func (c *Client) Follow(ctx context.Context) (*Signals, error) {
	s := &Signals{raw: make(chan *dbus.Signal, 64), arguments: map[string][]string{}}
	for _, signal := range bus.Signals() {
		s.arguments[signal.Name] = signal.Arguments
	}
	return s, c.listen(ctx, s.raw, followRules)
}

// Next waits for a signal, until ctx ends or the bus goes away.
func (s *Signals) Next(ctx context.Context) (Signal, error) {
	for {
		select {
		case <-ctx.Done():
			return Signal{}, ctx.Err()
		case raw, open := <-s.raw:
			if !open {
				return Signal{}, errBusLeft
			}
			if signal, ok := s.read(raw); ok {
				return signal, nil
			}
		}
	}
}

// read understands a signal; ok is false if it is nobody's business.
func (s *Signals) read(raw *dbus.Signal) (signal Signal, ok bool) {
	switch raw.Name {
	case busName + ".NameOwnerChanged":
		var name, from, to string
		if dbus.Store(raw.Body, &name, &from, &to) != nil {
			return signal, false
		}
		if to == "" {
			return Signal{Kind: Left}, true
		}
		return Signal{Kind: Arrived}, true
	case busName + ".Properties.PropertiesChanged":
		var of string
		var changed map[string]dbus.Variant
		var invalid []string
		if dbus.Store(raw.Body, &of, &changed, &invalid) != nil || of != api.Interface {
			return signal, false
		}
		signal = Signal{Kind: Changed, Fields: map[string]any{}}
		for name, v := range changed {
			signal.Fields[name] = v.Value()
		}
		return signal, true
	}
	name, ours := strings.CutPrefix(raw.Name, api.Interface+".")
	if !ours {
		return signal, false
	}
	signal = Signal{Kind: Said, Name: name, Fields: map[string]any{}}
	for i, v := range raw.Body {
		key := fmt.Sprint("value", i)
		if names := s.arguments[name]; i < len(names) {
			key = names[i]
		}
		signal.Fields[key] = plainValue(v)
	}
	return signal, true
}

// plainValue takes dictionaries out of their variants.
func plainValue(v any) any {
	dict, ok := v.(map[string]dbus.Variant)
	if !ok {
		return v
	}
	values := map[string]any{}
	for key, inner := range dict {
		values[key] = plainValue(inner.Value())
	}
	return values
}

// listen subscribes to signals. Those that are not from digestd or the bus never
// arrive. Rules must include ownerRule, or signals of a later owner of digestd's
// name are dropped.
func (c *Client) listen(ctx context.Context, signals chan<- *dbus.Signal, rules [][]dbus.MatchOption) error {
	c.conn.Signal(signals)
	for _, rule := range rules {
		if err := c.conn.AddMatchSignalContext(ctx, rule...); err != nil {
			return err
		}
	}
	c.owner(ctx)
	return nil
}
