// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"encoding/base64"
	"unicode/utf8"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus/object"
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

// The bounds of paths in one Call: what an own list is made of, and what a
// measurement list has.
const (
	maxUses     = 1 << 20
	maxUseBytes = 24 << 20 // less than the system bus lets through
)

// ownMethods are those about the owner's own lists.
func (s *Server) ownMethods() []object.Method {
	b := s.backend
	argName := object.Argument{Name: "name", Sig: "s", Max: object.MaxName}
	return []object.Method{
		{
			Name: "Owns",
			Doc:  "Returns a page of the owner's own lists (`Own`, without their sources) by name, including removed ones.",
			In:   []object.Argument{argOffset, argLimit}, Out: paged("lists"),
			Call: func(c object.Call) ([]any, error) { return pageOf(c, b.Owns) },
		},
		{
			Name: "Own",
			Doc:  "Returns one own list, with its sources.",
			In:   []object.Argument{argName}, Out: dict("list"),
			Call: func(c object.Call) ([]any, error) {
				list, err := b.Own(c.Ctx, c.Text(0))
				return []any{api.Encode(list)}, err
			},
		},
		{
			Name: "OwnAppend",
			// Text, for arrays of bytes are marshalled byte by byte.
			Doc: "Adds a piece, of at most a megabyte, in base64, to the upload of a list in the `tlv` format, and returns the number of the upload; `upload` 0 begins one. The upload belongs to the caller's connection; digestd drops it after two minutes without a piece.",
			In:  []object.Argument{{Name: "upload", Sig: "t"}, {Name: "data", Sig: "s", Max: base64.StdEncoding.EncodedLen(api.MaxUpload), Any: true}}, Out: []object.Argument{{Name: "upload", Sig: "t"}},
			Action: actionOwn,
			Call: func(c object.Call) ([]any, error) {
				data, err := base64.StdEncoding.DecodeString(c.Text(1))
				if err != nil {
					return nil, api.Errorf(api.InvalidArgument, "data is not valid base64: %v", err)
				}
				id, err := b.OwnAppend(c.Ctx, c.By, c.Args[0].(uint64), data)
				return []any{id}, err
			},
		},
		{
			Name: "OwnPublish",
			Doc: "Starts to make an upload the active version of the own list of that name, and returns the number of the job; its " +
				"result is an `OwnResult`. `base` is the version that the caller changed, 0 for a new list. `sources` are the paths from which the list is made; with `listed`, an update also hashes the files that the list already has. With `imported` the upload is a list with the signature of a key that this machine trusts.",
			In: []object.Argument{{Name: "upload", Sig: "t"}, argName, {Name: "base", Sig: "t"}, {Name: "sources", Sig: "aay"}, {Name: "listed", Sig: "b"},
				{Name: "imported", Sig: "b"}, argReason},
			Out: []object.Argument{argJob}, Action: actionOwn,
			Call: func(c object.Call) ([]any, error) {
				req := api.OwnRequest{Upload: c.Args[0].(uint64), Name: c.Text(1), Base: c.Args[2].(uint64), Listed: c.Args[4].(bool),
					Import: c.Args[5].(bool), Reason: c.Text(6)}
				sources := c.Args[3].([][]byte)
				if len(sources) > api.MaxSources {
					return nil, api.Errorf(api.InvalidArgument, "there are %d sources; at most %d are allowed", len(sources), api.MaxSources)
				}
				for _, src := range sources {
					if err := (object.Argument{Name: "sources", Max: object.MaxPath, Any: true}).Check(src); err != nil {
						return nil, err
					}
					o := api.OwnSource{Path: string(src)}
					if !utf8.Valid(src) {
						o.RawPath = src
					}
					req.Sources = append(req.Sources, o)
				}
				job, err := s.StartJob(c.By, "change of an own list", func(ctx context.Context, report func(string, int, int)) (any, error) {
					return b.OwnPublish(ctx, c.By, req, report)
				})
				return []any{job}, err
			},
		},
		{
			Name: "OwnRemove",
			Doc:  "Starts to remove an own list and returns the number of the job; its result is an `OwnResult`. A later list of that name continues its version numbers.",
			In:   []object.Argument{argName, argReason}, Out: []object.Argument{argJob}, Action: actionOwn,
			Call: func(c object.Call) ([]any, error) {
				name, reason := c.Text(0), c.Text(1)
				job, err := s.StartJob(c.By, "removal of an own list", func(ctx context.Context, report func(string, int, int)) (any, error) {
					return b.OwnRemove(ctx, c.By, name, reason, report)
				})
				return []any{job}, err
			},
		},
	}
}

// orderMethods are those about the order in which the kernel reads lists.
func (s *Server) orderMethods() []object.Method {
	b := s.backend
	return []object.Method{
		{
			Name: "Order",
			Doc:  "Returns a page of the lists that have a number before their name (`Ordered`), in order, their total number, and an `Order`.",
			In:   []object.Argument{argOffset, argLimit}, Out: append(paged("lists"), dict("order")...),
			Call: func(c object.Call) ([]any, error) {
				offset, limit, err := c.Page(0)
				if err != nil {
					return nil, err
				}
				page, total, order, err := b.Order(c.Ctx, offset, limit)
				return append(onePage(page, limit, total), api.Encode(order)), err
			},
		},
		{
			Name: "OrderSet",
			Doc:  "Numbers the lists in the order of their first use among the paths of a measurement list, and returns an `Order`. Soon after, digestd renames the lists and binds files to the new names.",
			In:   []object.Argument{{Name: "paths", Sig: "aay"}, argReason}, Out: dict("order"), Action: actionOwn,
			Call: func(c object.Call) ([]any, error) {
				uses, size := c.Args[0].([][]byte), 0
				for _, use := range uses {
					size += len(use)
				}
				if len(uses) > maxUses || size > maxUseBytes {
					return nil, api.Errorf(api.InvalidArgument, "there are too many paths: %d, with %d bytes", len(uses), size)
				}
				order, err := b.OrderSet(c.Ctx, c.By, uses, c.Text(1))
				return []any{api.Encode(order)}, err
			},
		},
		{
			Name: "OrderClear",
			Doc:  "Removes the numbers from the names of all lists.",
			In:   []object.Argument{argReason}, Action: actionOwn,
			Call: func(c object.Call) ([]any, error) { return nil, b.OrderClear(c.Ctx, c.By, c.Text(0)) },
		},
		{
			Name: "OrderPrefetch",
			Doc:  "Switches on or off whether the kernel reads all lists before the one that it needs (`security.dig_prefetch` on the list directory).",
			In:   []object.Argument{{Name: "on", Sig: "b"}}, Action: actionOwn,
			Call: func(c object.Call) ([]any, error) { return nil, b.OrderPrefetch(c.Ctx, c.By, c.Args[0].(bool)) },
		},
	}
}
