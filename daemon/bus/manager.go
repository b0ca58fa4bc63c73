// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"slices"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus/object"
)

// table is the interface of our object.
func (s *Server) table() object.Interface {
	return object.Interface{
		Name: api.Interface,
		Methods: slices.Concat(s.readingMethods(), s.changingMethods(), s.keyMethods(), s.logMethods(), s.verifyMethods(), s.denialMethods(), s.policyMethods(), s.advisoryMethods(),
			s.ownMethods(), s.orderMethods(), s.kernelMethods(), s.guardMethods(), s.anchorMethods()),
		Signals:    signals(),
		Properties: properties(),
	}
}

// Arguments that several methods share.
var (
	argOffset  = object.Argument{Name: "offset", Sig: "u"}
	argLimit   = object.Argument{Name: "limit", Sig: "u"}
	argTotal   = object.Argument{Name: "total", Sig: "u"}
	argPackage = object.Argument{Name: "package", Sig: "s", Max: object.MaxName}
	argReason  = object.Argument{Name: "reason", Sig: "s", Max: object.MaxReason}
	argJob     = object.Argument{Name: "job", Sig: "t"}
)

func dict(name string) []object.Argument  { return []object.Argument{{Name: name, Sig: "a{sv}"}} }
func dicts(name string) []object.Argument { return []object.Argument{{Name: name, Sig: "aa{sv}"}} }
func paged(name string) []object.Argument { return append(dicts(name), argTotal) }

func (s *Server) readingMethods() []object.Method {
	b := s.backend
	return []object.Method{
		{
			Name: "Status",
			Doc:  "Returns the state of the daemon, as a `Status`.",
			Out:  dict("status"),
			Call: func(object.Call) ([]any, error) {
				st := s.status()
				st.Kernel = b.Kernel()
				return []any{api.Encode(st)}, nil
			},
		},
		{
			Name: "Lists",
			Doc:  "Returns a page of the lists (`List`) that `filter` selects, by name, and their total number. The filter is empty, a state, or a pattern of list or package names.",
			In:   []object.Argument{{Name: "filter", Sig: "s", Max: object.MaxName}, argOffset, argLimit}, Out: paged("lists"),
			Call: func(c object.Call) ([]any, error) {
				offset, limit, err := c.Page(1)
				if err != nil {
					return nil, err
				}
				page, total, err := b.Lists(c.Ctx, c.Text(0), offset, limit)
				return onePage(page, limit, total), err
			},
		},
		{
			Name: "Show",
			Doc:  "Returns the lists (`List`) of a package: a name, `name.arch`, NEVRA or list name. `NotFound` if it is not installed.",
			In:   []object.Argument{argPackage}, Out: dicts("lists"),
			Call: func(c object.Call) ([]any, error) {
				lists, err := b.Show(c.Ctx, c.Text(0))
				return []any{api.EncodeAll(lists)}, err
			},
		},
		{
			Name: "Files",
			Doc:  "Returns a page of the entries (`File`) of an active list, in its order.",
			In:   []object.Argument{{Name: "list", Sig: "s", Max: object.MaxName}, argOffset, argLimit}, Out: paged("files"),
			Call: func(c object.Call) ([]any, error) {
				offset, limit, err := c.Page(1)
				if err != nil {
					return nil, err
				}
				page, total, err := b.Files(c.Ctx, c.Text(0), offset, limit)
				return onePage(page, limit, total), err
			},
		},
		{
			Name: "Why",
			Doc:  "Explains one file by its absolute path, as a `Why`. digestd reads the file for root only. Other users get the lists that have the path, with the verdict `unread`, and nothing about the file system: they read the file themselves and call `WhyContent`.",
			In:   []object.Argument{{Name: "path", Sig: "s", Max: object.MaxPath, Any: true}}, Out: dict("why"), Caller: true,
			Call: func(c object.Call) ([]any, error) { return s.why(c, c.Text(0)) },
		},
		{
			Name: "WhyBytes",
			Doc:  "Like `Why`, for a path that is not UTF-8.",
			In:   []object.Argument{{Name: "path", Sig: "ay", Max: object.MaxPath, Any: true}}, Out: dict("why"), Caller: true,
			Call: func(c object.Call) ([]any, error) { return s.why(c, string(c.Args[0].([]byte))) },
		},
		{
			Name: "WhyContent",
			Doc: "The same for a file that the caller examined: its `path`, its path with links followed (`real`, empty for the same), whether it was `found`, " +
				"the value of `security.digest_list` or an empty text, and the digests of its content, of which only `sha256` is required; if the digest that the list uses is missing, the verdict is `unread`. digestd opens no file for it.",
			In: []object.Argument{{Name: "path", Sig: "ay", Max: object.MaxPath, Any: true}, {Name: "real", Sig: "ay", Max: object.MaxPath, Any: true}, {Name: "found", Sig: "b"},
				{Name: "label", Sig: "s", Max: 255, Any: true}, {Name: "sha256", Sig: "ay", Max: 32, Raw: true}, {Name: "sha384", Sig: "ay", Max: 48, Raw: true},
				{Name: "sha512", Sig: "ay", Max: 64, Raw: true}},
			Out: dict("why"),
			Call: func(c object.Call) ([]any, error) {
				bytes := func(i int) []byte { return c.Args[i].([]byte) }
				why, err := s.judged(c.Ctx)(b.WhyContent(c.Ctx, string(bytes(0)), api.Content{RealPath: string(bytes(1)), Found: c.Args[2].(bool),
					Label: c.Text(3), SHA256: bytes(4), SHA384: bytes(5), SHA512: bytes(6)}))
				return []any{api.Encode(why)}, err
			},
		},
		{
			Name: "Check",
			Doc: "Checks whether a package would be admitted if it were installed now, as a `Check`: `header` and `signatures` are the two headers of the package file, each without the eight bytes of its magic. " +
				"digestd does not store them.",
			In:  []object.Argument{{Name: "header", Sig: "ay", Max: api.MaxHeader, Raw: true}, {Name: "signatures", Sig: "ay", Max: api.MaxSignatures, Raw: true}},
			Out: dict("check"),
			Call: func(c object.Call) ([]any, error) {
				check, err := b.Check(c.Ctx, c.Args[0].([]byte), c.Args[1].([]byte))
				return []any{api.Encode(check)}, err
			},
		},
		{
			Name: "CheckVersion",
			Doc:  "Like `Check`, by a NEVRA alone, without a header: it does not check the signature of the package.",
			In:   []object.Argument{{Name: "nevra", Sig: "s", Max: object.MaxName}}, Out: dict("check"),
			Call: func(c object.Call) ([]any, error) {
				check, err := b.CheckVersion(c.Ctx, c.Text(0))
				return []any{api.Encode(check)}, err
			},
		},
		{
			Name: "RollbackLog",
			Doc:  "Returns a page of the decisions about versions (`Event`), newest first.",
			In:   []object.Argument{argOffset, argLimit}, Out: paged("events"),
			Call: func(c object.Call) ([]any, error) {
				offset, limit, err := c.Page(0)
				if err != nil {
					return nil, err
				}
				page, total, err := b.RollbackLog(c.Ctx, offset, limit)
				return onePage(page, limit, total), err
			},
		},
		{
			Name: "Floors",
			Doc:  "Returns a page of the floors (`Floor`), by package.",
			In:   []object.Argument{argOffset, argLimit}, Out: paged("floors"),
			Call: func(c object.Call) ([]any, error) { return pageOf(c, b.Floors) },
		},
	}
}

func (s *Server) changingMethods() []object.Method {
	b := s.backend
	return []object.Method{
		{
			Name: "Sync",
			Doc:  "Starts a comparison of the lists with rpm's database and returns the number of the job. `JobProgress` and `JobFinished` report on it; its result is a `SyncResult`. The job continues if its caller leaves the bus.",
			Out:  []object.Argument{argJob}, Action: actionSync,
			Call: func(c object.Call) ([]any, error) {
				job, err := s.startSync(c.By)
				return []any{job}, err
			},
		},
		{
			Name: "Cancel",
			Doc:  "Cancels a job of the caller's own user, or any job if the caller is root. `NotFound` if the job ended or never existed; `AccessDenied` if the caller is not root and another user started the job.",
			In:   []object.Argument{argJob}, Caller: true,
			Call: func(c object.Call) ([]any, error) { return nil, s.Cancel(c.By, c.Args[0].(uint64)) },
		},
		{
			Name: "RollbackGrant",
			Doc:  "Permits the package to go back to exactly one version, given as NEVRA, once. Returns the `Grant`.",
			In:   []object.Argument{argPackage, argReason}, Out: dict("grant"), Action: actionRollback,
			Call: func(c object.Call) ([]any, error) {
				if err := given(c.Text(1)); err != nil {
					return nil, err
				}
				grant, err := b.RollbackGrant(c.Ctx, c.By, c.Text(0), c.Text(1))
				return []any{api.Encode(grant)}, err
			},
		},
		{
			Name: "RollbackRevoke",
			Doc:  "Revokes a grant that was not used.",
			In:   []object.Argument{argPackage}, Action: actionRollback,
			Call: func(c object.Call) ([]any, error) { return nil, b.RollbackRevoke(c.Ctx, c.By, c.Text(0)) },
		},
		{
			Name: "FloorSet",
			Doc:  "Sets the floor of a package (a name or `name.arch`): no version below it may be active from now on.",
			In:   []object.Argument{argPackage, {Name: "evr", Sig: "s", Max: object.MaxName}, argReason}, Action: actionFloor,
			Call: func(c object.Call) ([]any, error) {
				if err := given(c.Text(2)); err != nil {
					return nil, err
				}
				return nil, b.FloorSet(c.Ctx, c.By, c.Text(0), c.Text(1), c.Text(2))
			},
		},
		{
			Name: "FloorClear",
			Doc:  "Removes the floor of a package.",
			In:   []object.Argument{argPackage, argReason}, Action: actionFloor,
			Call: func(c object.Call) ([]any, error) {
				if err := given(c.Text(1)); err != nil {
					return nil, err
				}
				return nil, b.FloorClear(c.Ctx, c.By, c.Text(0), c.Text(1))
			},
		},
	}
}

// status is the backend's, with the daemon's state judged, and that of the guard.
func (s *Server) status() api.Status {
	st := s.backend.Status()
	st.State = api.Health(st.Problems)
	if a := s.backend.AnchorStatus(); a.Where != "off" || a.Bound {
		st.Anchor = a
	}
	if g := s.backend.Recent(); g.Wanted != api.GuardOff {
		st.Guard = g
	}
	return st
}

func (s *Server) why(c object.Call, path string) ([]any, error) {
	why, err := s.judged(c.Ctx)(s.backend.Why(c.Ctx, c.By, path))
	return []any{api.Encode(why)}, err
}

// judged completes an answer by what the guard would do.
func (s *Server) judged(ctx context.Context) func(api.Why, error) (api.Why, error) {
	return func(w api.Why, err error) (api.Why, error) {
		if err == nil {
			s.backend.Judge(ctx, &w)
		}
		return w, err
	}
}

// given refuses an empty reason: no counter is lowered and no floor moved
// without a recorded one.
func given(reason string) error {
	if reason == "" {
		return api.Errorf(api.InvalidArgument, "a reason is required, which is recorded with your user")
	}
	return nil
}

// onePage is a paged reply, cut to its limit whatever the backend returned.
func onePage[T any](page []T, limit, total uint32) []any {
	return []any{api.EncodeAll(page[:min(len(page), int(limit))]), total}
}

// pageOf is a paged reply out of what a backend returns all at once; its offset
// and limit are the call's only arguments.
func pageOf[T any](c object.Call, all func(context.Context) ([]T, error)) ([]any, error) {
	offset, limit, err := c.Page(0)
	if err != nil {
		return nil, err
	}
	elements, err := all(c.Ctx)
	if err != nil {
		return nil, err
	}
	return onePage(elements[min(int(offset), len(elements)):], limit, uint32(len(elements))), nil
}

// startSync starts a sync.
func (s *Server) startSync(by api.Actor) (job uint64, err error) {
	return s.StartJob(by, "Sync", func(ctx context.Context, report func(stage string, done, total int)) (any, error) {
		return s.backend.Sync(ctx, by, report)
	})
}
