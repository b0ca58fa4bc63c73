// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"encoding/hex"
	"math"
	"slices"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus/object"
)

// GuardBackend is the guard in the kernel.
type GuardBackend interface {
	// Guard says what the guard does and knows; an error, that it does not answer.
	Guard(ctx context.Context) (api.Guard, error)
	// Recent is Guard for those who watch: at most a second old.
	Recent() api.Guard
	// Judge completes a Why by what the guard would do.
	Judge(ctx context.Context, w *api.Why)
	// GuardDenials returns a page of what the guard refused, the latest last.
	GuardDenials(ctx context.Context, offset, limit uint32) (page []api.GuardDenial, total uint32, err error)
	// GuardCandidates returns a page of what may be learned of that, or why not.
	GuardCandidates(ctx context.Context, offset, limit uint32) (page []api.GuardCandidate, total uint32, err error)
	// GuardSwitch puts a mode in force.
	GuardSwitch(ctx context.Context, by api.Actor, req api.GuardRequest) (api.Guard, error)
	// GuardExempt exempts the containers of a cgroup, or ends that.
	GuardExempt(ctx context.Context, by api.Actor, req api.GuardExemptRequest) (api.Guard, error)
	// GuardLearn makes refused contents, given by their digests, part of an own list.
	GuardLearn(ctx context.Context, by api.Actor, list string, digests []string, reason string, report func(stage string, done, total int)) (api.OwnResult, error)
}

// maxGroup is how many bytes the name of a cgroup has at most.
const maxGroup = 512

// guardMethods are those about the guard.
func (s *Server) guardMethods() []object.Method {
	b := s.backend
	return []object.Method{
		{
			Name: "Guard",
			Doc:  "Returns the state of the guard in the kernel, as a `Guard`. `Failed` if digestd-guard does not answer.",
			Out:  dict("guard"),
			Call: func(c object.Call) ([]any, error) {
				g, err := b.Guard(c.Ctx)
				return []any{api.Encode(g)}, err
			},
		},
		{
			Name: "GuardDenials",
			Doc:  "Returns a page of the files that the guard refused, or would have refused (`GuardDenial`), grouped by content, the latest last, each with the present reason.",
			In:   []object.Argument{argOffset, argLimit}, Out: paged("denials"), Action: actionGuardDenials,
			Call: func(c object.Call) ([]any, error) {
				offset, limit, err := c.Page(0)
				if err != nil {
					return nil, err
				}
				page, total, err := b.GuardDenials(c.Ctx, offset, limit)
				return onePage(page, limit, total), err
			},
		},
		{
			Name: "GuardCandidates",
			Doc:  "Returns a page of the refused files, and for each whether `GuardLearn` can learn it, or the reason why not (`GuardCandidate`).",
			In:   []object.Argument{argOffset, argLimit}, Out: paged("candidates"), Action: actionGuardDenials,
			Call: func(c object.Call) ([]any, error) {
				offset, limit, err := c.Page(0)
				if err != nil {
					return nil, err
				}
				page, total, err := b.GuardCandidates(c.Ctx, offset, limit)
				return onePage(page, limit, total), err
			},
		},
		{
			Name: "GuardSwitch",
			Doc: "Puts the guard into a mode, until the next change or the next start of the machine, and returns the `Guard`. `mode` is `off`, `audit` or " +
				"`enforce`; `trial` is the time in nanoseconds after which `enforce` ends by itself, 0 for never. Options: `confirm` makes the present trial permanent; " +
				"`force` enforces although the guard would refuse needed files, and requires a reason; `checked` states that root checked the running programs. Without any of these `enforce` requires a trial, because digestd cannot see the programs of other users, and is refused if the guard would refuse files that every machine needs.",
			In: []object.Argument{{Name: "mode", Sig: "s", Max: object.MaxName}, {Name: "trial", Sig: "t"}, {Name: "options", Sig: "as"}, argReason}, Out: dict("guard"), Action: actionGuard,
			Call: func(c object.Call) ([]any, error) {
				options := c.Args[2].([]string)
				for _, o := range options {
					if !slices.Contains([]string{"confirm", "force", "checked"}, o) {
						return nil, api.Errorf(api.InvalidArgument, "there is no option %q", api.Clean(o))
					}
				}
				has := func(option string) bool { return slices.Contains(options, option) }
				g, err := b.GuardSwitch(c.Ctx, c.By, api.GuardRequest{Mode: c.Text(0), Trial: time.Duration(min(c.Args[1].(uint64), math.MaxInt64)),
					Confirm: has("confirm"), Force: has("force"), Checked: has("checked"), Reason: c.Text(3)})
				return []any{api.Encode(g)}, err
			},
		},
		{
			Name: "GuardExempt",
			Doc:  "Lets the containers of a cgroup run files that are in no list, until the machine starts again, and returns the `Guard`. `guard-exempt` in the configuration does so permanently. `group` is a path below the root of the tree, or a pattern with `*`. Options: `end` ends an exemption that this method began; `force` exempts the group although users other than root can put processes into it, and requires a reason. Without it digestd refuses such a group.",
			In:   []object.Argument{{Name: "group", Sig: "s", Max: maxGroup}, {Name: "options", Sig: "as"}, argReason}, Out: dict("guard"), Action: actionGuard,
			Call: func(c object.Call) ([]any, error) {
				options := c.Args[1].([]string)
				for _, o := range options {
					if o != "end" && o != "force" {
						return nil, api.Errorf(api.InvalidArgument, "there is no option %q", api.Clean(o))
					}
				}
				g, err := b.GuardExempt(c.Ctx, c.By, api.GuardExemptRequest{Group: c.Text(0), End: slices.Contains(options, "end"), Force: slices.Contains(options, "force"), Reason: c.Text(2)})
				return []any{api.Encode(g)}, err
			},
		},
		{
			Name: "GuardLearn",
			Doc:  "Starts to add contents that the guard refused to the own list of that name, and returns the number of the job; its result is an `OwnResult`. `digests` are the SHA-256 digests of refused contents, in hexadecimal. It learns all of them or none. It learns no file that users other than root can write to, or that a package has with another content.",
			In:   []object.Argument{{Name: "list", Sig: "s", Max: object.MaxName}, {Name: "digests", Sig: "as"}, argReason},
			Out:  []object.Argument{argJob}, Action: actionGuard,
			Call: func(c object.Call) ([]any, error) {
				name, digests, reason := c.Text(0), c.Args[1].([]string), c.Text(2)
				if n := len(digests); n == 0 || n > api.MaxLearn {
					return nil, api.Errorf(api.InvalidArgument, "%d digests; 1 to %d are learned at once", n, api.MaxLearn)
				}
				for _, d := range digests {
					if b, err := hex.DecodeString(d); err != nil || len(b) != 32 {
						return nil, api.Errorf(api.InvalidArgument, "%.80q is no SHA-256 in hexadecimal", api.Clean(d))
					}
				}
				job, err := s.StartJob(c.By, "learning", func(ctx context.Context, report func(string, int, int)) (any, error) {
					return b.GuardLearn(ctx, c.By, name, digests, reason, report)
				})
				return []any{job}, err
			},
		},
	}
}
