// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus/object"
)

// LogBackend is the log of decisions.
type LogBackend interface {
	// Log returns a page of the entries that filter selects, newest first, and how
	// many it selects in all.
	Log(ctx context.Context, filter api.LogFilter, offset, limit uint32) (page []api.Event, total uint32, err error)
	// LogVerify checks the hash chain of the log; head is one that it must continue, as
	// NUMBER:HASH, or "".
	LogVerify(ctx context.Context, head string) (api.LogCheck, error)
}

func (s *Server) logMethods() []object.Method {
	return []object.Method{{
		Name: "Log",
		Doc: "Returns a page of the recorded decisions (`Event`) that `filter` selects, newest first, and their total number. " +
			"Its keys, all optional: `s kind`, `s package` (name, `name.arch` or NEVRA) and `s list`, each also a pattern; `s key`, a fingerprint or the end " +
			"of one; `t since` and `t until`, times; `u uid` of the user; `t after` and `t before`, numbers of entries: with `before` pages stay " +
			"the same while the log grows, with `after` only new entries are returned. `LastEvent` announces them.",
		In: []object.Argument{{Name: "filter", Sig: "a{sv}"}, argOffset, argLimit}, Out: paged("events"),
		Call: func(c object.Call) ([]any, error) {
			offset, limit, err := c.Page(1)
			if err != nil {
				return nil, err
			}
			filter, err := api.ParseLogFilter(c.Args[0].(api.Dict))
			if err != nil {
				return nil, err
			}
			page, total, err := s.backend.Log(c.Ctx, filter, offset, limit)
			return onePage(page, limit, total), err
		},
	}, {
		Name: "LogVerify",
		Doc:  "Checks the hash chains over the decisions on record, and returns a `LogCheck`, whose faults are entries that something other than digestd cut, changed or moved. `head` is empty, or a former head of a chain as `NUMBER:HASH`, which the log has to continue.",
		In:   []object.Argument{{Name: "head", Sig: "s", Max: object.MaxName}}, Out: dict("check"),
		Call: func(c object.Call) ([]any, error) {
			check, err := s.backend.LogVerify(c.Ctx, c.Text(0))
			return []any{api.Encode(check)}, err
		},
	}}
}
