// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"

	"github.com/digestd/digestd/daemon/api"
)

// LogBackend is the log of decisions.
type LogBackend interface {
	// Log returns a page of the entries that filter selects, newest first, and how
	// many it selects in all.
	Log(ctx context.Context, filter api.LogFilter, offset, limit uint32) (page []api.Event, total uint32, err error)
}

func (s *Server) logMethods() []method {
	return []method{{
		name: "Log",
		doc: "Returns a page of the decisions on record (`Event`) that `filter` selects, newest first, and how many it selects in all. " +
			"Its keys, all optional: `s kind`, `s package` (name, `name.arch` or NEVRA) and `s list`, each also a pattern; `s key`, a fingerprint or the end " +
			"of one; `t since` and `t until`, times; `u uid` of who did it; `t after` and `t before`, numbers of entries: with `before` pages stay " +
			"what they are while the log grows, with `after` only what is new comes. `LastEvent` announces that.",
		in: []argument{{name: "filter", sig: "a{sv}"}, argOffset, argLimit}, out: paged("events"),
		call: func(c call) ([]any, error) {
			offset, limit, err := c.page(1)
			if err != nil {
				return nil, err
			}
			filter, err := api.ParseLogFilter(c.args[0].(api.Dict))
			if err != nil {
				return nil, err
			}
			page, total, err := s.backend.Log(c.ctx, filter, offset, limit)
			return onePage(page, limit, total), err
		},
	}}
}
