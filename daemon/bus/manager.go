// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"slices"

	"github.com/digestd/digestd/daemon/api"
	"github.com/godbus/dbus/v5/introspect"
)

// describe lists the interfaces of our object.
func (s *Server) describe() []iface {
	return []iface{
		{
			name:       api.Interface,
			methods:    slices.Concat(s.readingMethods(), s.changingMethods(), s.keyMethods()),
			signals:    signals(),
			properties: properties(),
		},
		s.propertiesInterface(),
		{
			name: introspectable,
			methods: []method{{
				name: "Introspect", out: []argument{{name: "xml", sig: "s"}},
				call: func(c call) ([]any, error) {
					text, err := s.introspect(c.path)
					return []any{text}, err
				},
			}},
		},
	}
}

// Arguments that several methods share.
var (
	argOffset  = argument{name: "offset", sig: "u"}
	argLimit   = argument{name: "limit", sig: "u"}
	argTotal   = argument{name: "total", sig: "u"}
	argPackage = argument{name: "package", sig: "s", max: maxName}
	argReason  = argument{name: "reason", sig: "s", max: maxReason}
	argJob     = argument{name: "job", sig: "t"}
)

func dict(name string) []argument  { return []argument{{name: name, sig: "a{sv}"}} }
func dicts(name string) []argument { return []argument{{name: name, sig: "aa{sv}"}} }
func paged(name string) []argument { return append(dicts(name), argTotal) }

func (s *Server) readingMethods() []method {
	b := s.backend
	return []method{
		{
			name: "Status", out: dict("status"),
			call: func(call) ([]any, error) { return []any{api.Encode(s.status())}, nil },
		},
		{
			name: "Lists", in: []argument{{name: "filter", sig: "s", max: maxName}, argOffset, argLimit}, out: paged("lists"),
			call: func(c call) ([]any, error) {
				offset, limit, err := c.page(1)
				if err != nil {
					return nil, err
				}
				page, total, err := b.Lists(c.ctx, c.text(0), offset, limit)
				return onePage(page, limit, total), err
			},
		},
		{
			name: "Show", in: []argument{argPackage}, out: dicts("lists"),
			call: func(c call) ([]any, error) {
				lists, err := b.Show(c.ctx, c.text(0))
				return []any{api.EncodeAll(lists)}, err
			},
		},
		{
			name: "Files", in: []argument{{name: "list", sig: "s", max: maxName}, argOffset, argLimit}, out: paged("files"),
			call: func(c call) ([]any, error) {
				offset, limit, err := c.page(1)
				if err != nil {
					return nil, err
				}
				page, total, err := b.Files(c.ctx, c.text(0), offset, limit)
				return onePage(page, limit, total), err
			},
		},
		{
			name: "Why", in: []argument{{name: "path", sig: "s", max: maxPath, any: true}}, out: dict("why"), caller: true,
			call: func(c call) ([]any, error) { return s.why(c, c.text(0)) },
		},
		{
			name: "WhyBytes", in: []argument{{name: "path", sig: "ay", max: maxPath, any: true}}, out: dict("why"), caller: true,
			call: func(c call) ([]any, error) { return s.why(c, string(c.args[0].([]byte))) },
		},
		{
			name: "RollbackLog", in: []argument{argOffset, argLimit}, out: paged("events"),
			call: func(c call) ([]any, error) {
				offset, limit, err := c.page(0)
				if err != nil {
					return nil, err
				}
				page, total, err := b.RollbackLog(c.ctx, offset, limit)
				return onePage(page, limit, total), err
			},
		},
		{
			name: "Floors", out: dicts("floors"),
			call: func(c call) ([]any, error) {
				floors, err := b.Floors(c.ctx)
				return []any{api.EncodeAll(floors)}, err
			},
		},
	}
}

func (s *Server) changingMethods() []method {
	b := s.backend
	return []method{
		{
			name: "Sync", out: []argument{argJob}, action: actionSync,
			call: func(c call) ([]any, error) {
				job, err := s.startSync(c.by)
				return []any{job}, err
			},
		},
		{
			name: "Cancel", in: []argument{argJob}, action: actionSync,
			call: func(c call) ([]any, error) { return nil, s.jobs.cancel(c.args[0].(uint64)) },
		},
		{
			name: "RollbackGrant", in: []argument{argPackage, argReason}, out: dict("grant"), action: actionRollback,
			call: func(c call) ([]any, error) {
				if err := given(c.text(1)); err != nil {
					return nil, err
				}
				grant, err := b.RollbackGrant(c.ctx, c.by, c.text(0), c.text(1))
				return []any{api.Encode(grant)}, err
			},
		},
		{
			name: "RollbackRevoke", in: []argument{argPackage}, action: actionRollback,
			call: func(c call) ([]any, error) { return nil, b.RollbackRevoke(c.ctx, c.by, c.text(0)) },
		},
		{
			name: "FloorSet", in: []argument{argPackage, {name: "evr", sig: "s", max: maxName}, argReason}, action: actionFloor,
			call: func(c call) ([]any, error) {
				if err := given(c.text(2)); err != nil {
					return nil, err
				}
				return nil, b.FloorSet(c.ctx, c.by, c.text(0), c.text(1), c.text(2))
			},
		},
		{
			name: "FloorClear", in: []argument{argPackage, argReason}, action: actionFloor,
			call: func(c call) ([]any, error) {
				if err := given(c.text(1)); err != nil {
					return nil, err
				}
				return nil, b.FloorClear(c.ctx, c.by, c.text(0), c.text(1))
			},
		},
	}
}

// status is the backend's, with the daemon's state judged.
func (s *Server) status() api.Status {
	st := s.backend.Status()
	st.State = api.Health(st.Problems)
	return st
}

func (s *Server) why(c call, path string) ([]any, error) {
	why, err := s.backend.Why(c.ctx, c.by, path)
	return []any{api.Encode(why)}, err
}

// given refuses an empty reason: no counter is lowered and no floor moved
// without a recorded one.
func given(reason string) error {
	if reason == "" {
		return api.Errorf(api.InvalidArgument, "a reason is needed: it is recorded with your name")
	}
	return nil
}

// onePage is a paged reply, cut to its limit whatever the backend returned.
func onePage[T any](page []T, limit, total uint32) []any {
	return []any{api.EncodeAll(page[:min(len(page), int(limit))]), total}
}

func signals() []introspect.Signal {
	signal := func(name string, args ...argument) introspect.Signal {
		s := introspect.Signal{Name: name}
		for _, a := range args {
			s.Args = append(s.Args, introspect.Arg{Name: a.name, Type: a.sig})
		}
		return s
	}
	text := func(name string) argument { return argument{name: name, sig: "s"} }
	number := func(name string) argument { return argument{name: name, sig: "t"} }
	return []introspect.Signal{
		signal("ListPublished", text("list"), text("nevra")),
		signal("ListWithdrawn", text("list"), text("nevra"), text("reason")),
		signal("RollbackRefused", text("nevra"), text("reason")),
		signal("KeyRevoked", text("fingerprint"), text("reason"), argument{name: "lists", sig: "u"}),
		signal("TamperDetected", text("name"), text("reason")),
		signal("TransactionFinished", argument{name: "published", sig: "u"}, argument{name: "withdrawn", sig: "u"}),
		signal("JobProgress", argJob, text("stage"), number("done"), number("total")),
		signal("JobFinished", argJob, argument{name: "ok", sig: "b"}, argument{name: "result", sig: "a{sv}"}),
	}
}
