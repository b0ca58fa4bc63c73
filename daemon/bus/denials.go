// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"time"

	"github.com/digestd/digestd/daemon/api"
)

// DenialBackend is what the owner denies, whoever signed it.
type DenialBackend interface {
	// Denials returns a page of what is denied, by ID, and how many there are.
	Denials(ctx context.Context, offset, limit uint32) (page []api.Denial, total uint32, err error)
	// Deny records and enforces a denial: of a content, given by digests of it with
	// commas between them, which was found at path if that is not empty; or of
	// versions of a package. expires is zero for never.
	Deny(ctx context.Context, by api.Actor, what, path, reason, ticket string, expires time.Time) (api.Denial, error)
	// DenialLift takes one back, given by its ID, its path or what it is about.
	DenialLift(ctx context.Context, by api.Actor, what, reason string) (api.Denial, error)
	// DenialsImport does what Deny does for all denials of a document, or with
	// dryRun finds out what that would do.
	DenialsImport(ctx context.Context, by api.Actor, document []byte, dryRun bool) (api.DenialImport, error)
}

// denialMethods are those about what the owner denies.
func (s *Server) denialMethods() []method {
	b := s.backend
	argWhat := argument{name: "what", sig: "s", max: maxName}
	return []method{
		{
			name: "Denials",
			doc:  "Returns a page of what is denied (`Denial`), by ID, and how many there are in all.",
			in:   []argument{argOffset, argLimit}, out: paged("denials"),
			call: func(c call) ([]any, error) {
				offset, limit, err := c.page(0)
				if err != nil {
					return nil, err
				}
				page, total, err := b.Denials(c.ctx, offset, limit)
				return onePage(page, limit, total), err
			},
		},
		{
			name: "Deny",
			doc: "Denies a content or versions of a package, and returns the `Denial` once no list vouches for it any more. " +
				"`what` is digests of one content as `algorithm:digits` with commas between them, or a package as name, `name.arch`, " +
				"either with `<[epoch:]version[-release]`, or NEVRA; `path` is where a content was found, or empty; `expires` is 0 for never.",
			in: []argument{argWhat, {name: "path", sig: "s", max: maxPath, any: true}, argReason,
				{name: "ticket", sig: "s", max: maxName}, {name: "expires", sig: "t"}},
			out: dict("denial"), action: actionDeny,
			call: func(c call) ([]any, error) {
				if err := given(c.text(2)); err != nil {
					return nil, err
				}
				var expires time.Time
				if us := c.args[4].(uint64); us != 0 {
					expires = time.UnixMicro(int64(min(us, 1<<62))).UTC()
				}
				denial, err := b.Deny(c.ctx, c.by, c.text(0), c.text(1), c.text(2), c.text(3), expires)
				return []any{api.Encode(denial)}, err
			},
		},
		{
			name: "DenialLift",
			doc:  "Takes a denial back, given by its ID, the path it was found at, or what it is about, and returns what it was. Lists return soon after.",
			in:   []argument{{name: "what", sig: "s", max: maxPath, any: true}, argReason}, out: dict("denial"), action: actionDeny,
			call: func(c call) ([]any, error) {
				if err := given(c.text(1)); err != nil {
					return nil, err
				}
				denial, err := b.DenialLift(c.ctx, c.by, c.text(0), c.text(1))
				return []any{api.Encode(denial)}, err
			},
		},
		{
			name: "DenialsImport",
			doc: "Denies all that a document says (JSON, at most 8 MiB), in one step, and returns a `DenialImport`. With `dry_run` " +
				"it finds out what that would do, and changes nothing.",
			in:  []argument{{name: "document", sig: "ay", max: api.MaxDenialDocument, any: true}, {name: "dry_run", sig: "b"}},
			out: dict("import"), action: actionDeny,
			call: func(c call) ([]any, error) {
				result, err := b.DenialsImport(c.ctx, c.by, c.args[0].([]byte), c.args[1].(bool))
				return []any{api.Encode(result)}, err
			},
		},
	}
}
