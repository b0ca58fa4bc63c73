// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"slices"

	"github.com/digestd/digestd/daemon/api"
)

// describe lists the interfaces of our object.
func (s *Server) describe() []iface {
	return []iface{
		{
			name:       api.Interface,
			methods:    slices.Concat(s.readingMethods(), s.changingMethods(), s.keyMethods(), s.logMethods(), s.verifyMethods(), s.denialMethods(), s.ownMethods(), s.orderMethods(), s.kernelMethods()),
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
			name: "Status",
			doc:  "Returns the daemon at a glance, as a `Status`.",
			out:  dict("status"),
			call: func(call) ([]any, error) {
				st := s.status()
				st.Kernel = b.Kernel()
				return []any{api.Encode(st)}, nil
			},
		},
		{
			name: "Lists",
			doc:  "Returns a page of the lists (`List`) that `filter` selects, by name, and how many there are in all. The filter is empty, a state, or a pattern of list or package names.",
			in:   []argument{{name: "filter", sig: "s", max: maxName}, argOffset, argLimit}, out: paged("lists"),
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
			name: "Show",
			doc:  "Returns the lists (`List`) of a package: a name, `name.arch`, NEVRA or list name. `NotFound` if it is not installed.",
			in:   []argument{argPackage}, out: dicts("lists"),
			call: func(c call) ([]any, error) {
				lists, err := b.Show(c.ctx, c.text(0))
				return []any{api.EncodeAll(lists)}, err
			},
		},
		{
			name: "Files",
			doc:  "Returns a page of the entries (`File`) of an active list, in its order.",
			in:   []argument{{name: "list", sig: "s", max: maxName}, argOffset, argLimit}, out: paged("files"),
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
			name: "Why",
			doc:  "Explains one file by its absolute path, as a `Why`. The file is read for root only. Others learn which lists have the path, with the verdict `unread`, and nothing of the file system: they read the file themselves and call `WhyContent`.",
			in:   []argument{{name: "path", sig: "s", max: maxPath, any: true}}, out: dict("why"), caller: true,
			call: func(c call) ([]any, error) { return s.why(c, c.text(0)) },
		},
		{
			name: "WhyBytes",
			doc:  "The same for a path that is not UTF-8.",
			in:   []argument{{name: "path", sig: "ay", max: maxPath, any: true}}, out: dict("why"), caller: true,
			call: func(c call) ([]any, error) { return s.why(c, string(c.args[0].([]byte))) },
		},
		{
			name: "WhyContent",
			doc: "The same for a file that the caller looked at: its `path`, its path with links followed (`real`, empty for the same), whether it was `found`, " +
				"the value of `security.digest_list` or an empty text, and the digests of its content, of which only `sha256` must be there. Nothing is opened for it.",
			in: []argument{{name: "path", sig: "ay", max: maxPath, any: true}, {name: "real", sig: "ay", max: maxPath, any: true}, {name: "found", sig: "b"},
				{name: "label", sig: "s", max: 255, any: true}, {name: "sha256", sig: "ay", max: 32, raw: true}, {name: "sha384", sig: "ay", max: 48, raw: true},
				{name: "sha512", sig: "ay", max: 64, raw: true}},
			out: dict("why"),
			call: func(c call) ([]any, error) {
				bytes := func(i int) []byte { return c.args[i].([]byte) }
				why, err := b.WhyContent(c.ctx, string(bytes(0)), api.Content{RealPath: string(bytes(1)), Found: c.args[2].(bool),
					Label: c.text(3), SHA256: bytes(4), SHA384: bytes(5), SHA512: bytes(6)})
				return []any{api.Encode(why)}, err
			},
		},
		{
			name: "RollbackLog",
			doc:  "Returns a page of the decisions about versions (`Event`), newest first.",
			in:   []argument{argOffset, argLimit}, out: paged("events"),
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
			name: "Floors",
			doc:  "Returns a page of the floors (`Floor`) that administrators set, by package.",
			in:   []argument{argOffset, argLimit}, out: paged("floors"),
			call: func(c call) ([]any, error) { return pageOf(c, b.Floors) },
		},
	}
}

func (s *Server) changingMethods() []method {
	b := s.backend
	return []method{
		{
			name: "Sync",
			doc:  "Starts to bring the lists in step with rpm's database and returns the number of that job. `JobProgress` and `JobFinished` tell of it; its result is a `SyncResult`. It goes on when its caller leaves.",
			out:  []argument{argJob}, action: actionSync,
			call: func(c call) ([]any, error) {
				job, err := s.startSync(c.by)
				return []any{job}, err
			},
		},
		{
			name: "Cancel",
			doc:  "Cancels a job of the caller's own user, or any job if root calls. `NotFound` if it ended, or never was; `AccessDenied`, if anybody but root calls, for every job that the same user did not start.",
			in:   []argument{argJob}, caller: true,
			call: func(c call) ([]any, error) { return nil, s.jobs.cancel(c.by, c.args[0].(uint64)) },
		},
		{
			name: "RollbackGrant",
			doc:  "Permits the package to go back to exactly one version, given as NEVRA, once. Returns the `Grant`.",
			in:   []argument{argPackage, argReason}, out: dict("grant"), action: actionRollback,
			call: func(c call) ([]any, error) {
				if err := given(c.text(1)); err != nil {
					return nil, err
				}
				grant, err := b.RollbackGrant(c.ctx, c.by, c.text(0), c.text(1))
				return []any{api.Encode(grant)}, err
			},
		},
		{
			name: "RollbackRevoke",
			doc:  "Takes back a grant that was not used.",
			in:   []argument{argPackage}, action: actionRollback,
			call: func(c call) ([]any, error) { return nil, b.RollbackRevoke(c.ctx, c.by, c.text(0)) },
		},
		{
			name: "FloorSet",
			doc:  "Lets nothing of a package (a name or `name.arch`) below that version be active from now on.",
			in:   []argument{argPackage, {name: "evr", sig: "s", max: maxName}, argReason}, action: actionFloor,
			call: func(c call) ([]any, error) {
				if err := given(c.text(2)); err != nil {
					return nil, err
				}
				return nil, b.FloorSet(c.ctx, c.by, c.text(0), c.text(1), c.text(2))
			},
		},
		{
			name: "FloorClear",
			doc:  "Removes the floor of a package.",
			in:   []argument{argPackage, argReason}, action: actionFloor,
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

// pageOf is a paged reply out of what a backend returns all at once; its offset
// and limit are the call's only arguments.
func pageOf[T any](c call, all func(context.Context) ([]T, error)) ([]any, error) {
	offset, limit, err := c.page(0)
	if err != nil {
		return nil, err
	}
	elements, err := all(c.ctx)
	if err != nil {
		return nil, err
	}
	return onePage(elements[min(int(offset), len(elements)):], limit, uint32(len(elements))), nil
}

func signals() []event {
	text := func(name string) argument { return argument{name: name, sig: "s"} }
	small := func(name string) argument { return argument{name: name, sig: "u"} }
	number := func(name string) argument { return argument{name: name, sig: "t"} }
	return []event{
		{"ListPublished", "A list became active.", []argument{text("list"), text("nevra")}},
		{"ListWithdrawn", "A list left the directory.", []argument{text("list"), text("nevra"), text("reason")}},
		{"RollbackRefused", "A version was kept out for being older than what was active.", []argument{text("nevra"), text("reason")}},
		{"KeyRevoked", "A key vouches for nothing any more, and so many lists left the directory with it.",
			[]argument{text("fingerprint"), text("reason"), small("lists")}},
		{"Denied", "A content, or versions of a package, must not be trusted from now on.", []argument{text("id"), text("what"), text("reason")}},
		{"DenialLifted", "A denial was taken back, or expired.", []argument{text("id"), text("what"), text("reason")}},
		{"TamperDetected", "Another hand touched the list directory: the file is quarantined.", []argument{text("name"), text("reason")}},
		{"TransactionFinished", "A package transaction ended, with the numbers of lists it published and withdrew.",
			[]argument{small("published"), small("withdrawn")}},
		{"JobProgress", "How far a stage of a job is; a total of 0 is not known yet. At most ten a second.",
			[]argument{argJob, text("stage"), number("done"), number("total")}},
		{"JobFinished", "A job ended: well, with its result, or not, with an `Error`.",
			[]argument{argJob, {name: "ok", sig: "b"}, {name: "result", sig: "a{sv}"}}},
	}
}
