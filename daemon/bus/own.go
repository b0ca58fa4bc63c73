// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"encoding/base64"
	"unicode/utf8"

	"github.com/digestd/digestd/daemon/api"
)

// OwnBackend keeps the owner's own lists and the order in which lists are read.
type OwnBackend interface {
	// Owns returns every own list, also those that were removed, by name.
	Owns(ctx context.Context) ([]api.Own, error)
	// Own returns one own list.
	Own(ctx context.Context, name string) (api.Own, error)
	// OwnAppend adds a piece to an upload of the caller's; upload 0 begins one.
	OwnAppend(ctx context.Context, by api.Actor, upload uint64, data []byte) (uint64, error)
	// OwnPublish makes an upload the active version of an own list.
	OwnPublish(ctx context.Context, by api.Actor, req api.OwnRequest, report func(stage string, done, total int)) (api.OwnResult, error)
	// OwnRemove removes an own list.
	OwnRemove(ctx context.Context, by api.Actor, name, reason string, report func(stage string, done, total int)) (api.OwnResult, error)

	// Order returns a page of the lists that have a number, and how many there are.
	Order(ctx context.Context, offset, limit uint32) ([]api.Ordered, uint32, api.Order, error)
	// OrderSet numbers lists by their first use among the paths of a measurement list.
	OrderSet(ctx context.Context, by api.Actor, uses [][]byte, reason string) (api.Order, error)
	// OrderClear takes the numbers away.
	OrderClear(ctx context.Context, by api.Actor, reason string) error
	// OrderPrefetch makes the kernel read the lists before the one it looks for, or not.
	OrderPrefetch(ctx context.Context, by api.Actor, on bool) error
}

// The bounds of paths in one call: what an own list is made of, and what a
// measurement list has.
const (
	maxUses     = 1 << 20
	maxUseBytes = 24 << 20 // less than the system bus lets through
)

// ownMethods are those about the owner's own lists.
func (s *Server) ownMethods() []method {
	b := s.backend
	argName := argument{name: "name", sig: "s", max: maxName}
	return []method{
		{
			name: "Owns",
			doc:  "Returns a page of the owner's own lists (`Own`, without their sources) by name, also those that were removed.",
			in:   []argument{argOffset, argLimit}, out: paged("lists"),
			call: func(c call) ([]any, error) { return pageOf(c, b.Owns) },
		},
		{
			name: "Own",
			doc:  "Returns one own list, with its sources.",
			in:   []argument{argName}, out: dict("list"),
			call: func(c call) ([]any, error) {
				list, err := b.Own(c.ctx, c.text(0))
				return []any{api.Encode(list)}, err
			},
		},
		{
			name: "OwnAppend",
			// Text, for arrays of bytes are marshalled byte by byte.
			doc: "Takes in a piece, of at most a megabyte, in base64, of a list in the `tlv` format and returns the number of the upload; " +
				"`upload` 0 begins one. It belongs to the caller's connection and is forgotten after two minutes of rest.",
			in: []argument{{name: "upload", sig: "t"}, {name: "data", sig: "s", max: base64.StdEncoding.EncodedLen(api.MaxUpload), any: true}}, out: []argument{{name: "upload", sig: "t"}},
			action: actionOwn,
			call: func(c call) ([]any, error) {
				data, err := base64.StdEncoding.DecodeString(c.text(1))
				if err != nil {
					return nil, api.Errorf(api.InvalidArgument, "data is no base64: %v", err)
				}
				id, err := b.OwnAppend(c.ctx, c.by, c.args[0].(uint64), data)
				return []any{id}, err
			},
		},
		{
			name: "OwnPublish",
			doc: "Starts to make an upload the active version of the own list of that name, and returns the number of the job; its " +
				"result is an `OwnResult`. `base` is the version that the caller has changed, 0 for a list that is new. `sources` are the " +
				"paths it is made of, and `listed` says that the files it has are made into it again. With `imported` the upload is a list " +
				"with its signature, by a key that is trusted here.",
			in: []argument{{name: "upload", sig: "t"}, argName, {name: "base", sig: "t"}, {name: "sources", sig: "aay"}, {name: "listed", sig: "b"},
				{name: "imported", sig: "b"}, argReason},
			out: []argument{argJob}, action: actionOwn,
			call: func(c call) ([]any, error) {
				req := api.OwnRequest{Upload: c.args[0].(uint64), Name: c.text(1), Base: c.args[2].(uint64), Listed: c.args[4].(bool),
					Import: c.args[5].(bool), Reason: c.text(6)}
				sources := c.args[3].([][]byte)
				if len(sources) > api.MaxSources {
					return nil, api.Errorf(api.InvalidArgument, "%d sources are too many; at most %d are kept", len(sources), api.MaxSources)
				}
				for _, src := range sources {
					if err := (argument{name: "sources", max: maxPath, any: true}).check(src); err != nil {
						return nil, err
					}
					o := api.OwnSource{Path: string(src)}
					if !utf8.Valid(src) {
						o.RawPath = src
					}
					req.Sources = append(req.Sources, o)
				}
				job, err := s.startJob(c.by, "change of an own list", func(ctx context.Context, report func(string, int, int)) (any, error) {
					return b.OwnPublish(ctx, c.by, req, report)
				})
				return []any{job}, err
			},
		},
		{
			name: "OwnRemove",
			doc:  "Starts to remove an own list and returns the number of the job; its result is an `OwnResult`. The numbers of its versions go on.",
			in:   []argument{argName, argReason}, out: []argument{argJob}, action: actionOwn,
			call: func(c call) ([]any, error) {
				name, reason := c.text(0), c.text(1)
				job, err := s.startJob(c.by, "removal of an own list", func(ctx context.Context, report func(string, int, int)) (any, error) {
					return b.OwnRemove(ctx, c.by, name, reason, report)
				})
				return []any{job}, err
			},
		},
	}
}

// orderMethods are those about the order in which the kernel reads lists.
func (s *Server) orderMethods() []method {
	b := s.backend
	return []method{
		{
			name: "Order",
			doc:  "Returns a page of the lists that have a number before their name (`Ordered`), in order, how many there are, and an `Order`.",
			in:   []argument{argOffset, argLimit}, out: append(paged("lists"), dict("order")...),
			call: func(c call) ([]any, error) {
				offset, limit, err := c.page(0)
				if err != nil {
					return nil, err
				}
				page, total, order, err := b.Order(c.ctx, offset, limit)
				return append(onePage(page, limit, total), api.Encode(order)), err
			},
		},
		{
			name: "OrderSet",
			doc:  "Numbers the lists in the order of their first use among the paths of a measurement list, and returns an `Order`. The lists are renamed, and files bound to the new names, soon after.",
			in:   []argument{{name: "paths", sig: "aay"}, argReason}, out: dict("order"), action: actionOwn,
			call: func(c call) ([]any, error) {
				uses, size := c.args[0].([][]byte), 0
				for _, use := range uses {
					size += len(use)
				}
				if len(uses) > maxUses || size > maxUseBytes {
					return nil, api.Errorf(api.InvalidArgument, "%d paths of %d bytes are too many", len(uses), size)
				}
				order, err := b.OrderSet(c.ctx, c.by, uses, c.text(1))
				return []any{api.Encode(order)}, err
			},
		},
		{
			name: "OrderClear",
			doc:  "Takes the numbers before the names of lists away.",
			in:   []argument{argReason}, action: actionOwn,
			call: func(c call) ([]any, error) { return nil, b.OrderClear(c.ctx, c.by, c.text(0)) },
		},
		{
			name: "OrderPrefetch",
			doc:  "Makes the kernel read all lists before the one it looks for (`security.dig_prefetch` on the list directory), or not.",
			in:   []argument{{name: "on", sig: "b"}}, action: actionOwn,
			call: func(c call) ([]any, error) { return nil, b.OrderPrefetch(c.ctx, c.by, c.args[0].(bool)) },
		},
	}
}
