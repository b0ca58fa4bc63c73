// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus/object"
)

// DenialBackend is what the owner denies, no matter who signed it.
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
func (s *Server) denialMethods() []object.Method {
	b := s.backend
	argWhat := object.Argument{Name: "what", Sig: "s", Max: object.MaxName}
	return []object.Method{
		{
			Name: "Denials",
			Doc:  "Returns a page of the denials (`Denial`), by ID, and their total number.",
			In:   []object.Argument{argOffset, argLimit}, Out: paged("denials"),
			Call: func(c object.Call) ([]any, error) {
				offset, limit, err := c.Page(0)
				if err != nil {
					return nil, err
				}
				page, total, err := b.Denials(c.Ctx, offset, limit)
				return onePage(page, limit, total), err
			},
		},
		{
			Name: "Deny",
			Doc: "Denies a content or versions of a package, and returns the `Denial` when no list vouches for it. `what` has the digests of one content as `algorithm:digits` with commas between them, or a package as name, `name.arch`, " +
				"either with `<[epoch:]version[-release]`, or NEVRA; `path` is the path at which the content was found, or empty; `expires` is 0 for never.",
			In: []object.Argument{argWhat, {Name: "path", Sig: "s", Max: object.MaxPath, Any: true}, argReason,
				{Name: "ticket", Sig: "s", Max: object.MaxName}, {Name: "expires", Sig: "t"}},
			Out: dict("denial"), Action: actionDeny,
			Call: func(c object.Call) ([]any, error) {
				if err := given(c.Text(2)); err != nil {
					return nil, err
				}
				var expires time.Time
				if us := c.Args[4].(uint64); us != 0 {
					expires = time.UnixMicro(int64(min(us, 1<<62))).UTC()
				}
				denial, err := b.Deny(c.Ctx, c.By, c.Text(0), c.Text(1), c.Text(2), c.Text(3), expires)
				return []any{api.Encode(denial)}, err
			},
		},
		{
			Name: "DenialLift",
			Doc:  "Lifts a denial, given by its ID, its path, or its digest or package, and returns it. digestd publishes the lists soon after.",
			In:   []object.Argument{{Name: "what", Sig: "s", Max: object.MaxPath, Any: true}, argReason}, Out: dict("denial"), Action: actionDeny,
			Call: func(c object.Call) ([]any, error) {
				if err := given(c.Text(1)); err != nil {
					return nil, err
				}
				denial, err := b.DenialLift(c.Ctx, c.By, c.Text(0), c.Text(1))
				return []any{api.Encode(denial)}, err
			},
		},
		{
			Name: "DenialsImport",
			Doc: "Adds all denials in a document (JSON, at most 8 MiB), in one step, and returns a `DenialImport`. With `dry_run` " +
				"it shows what would change, and changes nothing.",
			In:  []object.Argument{{Name: "document", Sig: "ay", Max: api.MaxDenialDocument, Any: true}, {Name: "dry_run", Sig: "b"}},
			Out: dict("import"), Action: actionDeny,
			Call: func(c object.Call) ([]any, error) {
				result, err := b.DenialsImport(c.Ctx, c.By, c.Args[0].([]byte), c.Args[1].(bool))
				return []any{api.Encode(result)}, err
			},
		},
	}
}
