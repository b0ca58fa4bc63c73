// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"slices"

	"github.com/digestd/digestd/daemon/api"
)

// VerifyBackend is what compares the disk with what is vouched for.
type VerifyBackend interface {
	// Verify compares, and puts right what it can if the request says so. It
	// returns when it is done or ctx ends; report is as that of Sync.
	Verify(ctx context.Context, by api.Actor, req api.VerifyRequest, report func(stage string, done, total int)) (api.Verification, error)
	// Verification returns the one that runs, or the latest.
	Verification(ctx context.Context) (api.Verification, error)
	// Findings returns a page of what that found so far, in its order.
	Findings(ctx context.Context, offset, limit uint32) (page []api.Finding, total uint32, err error)
}

// maxWanted bounds the paths and packages of a call.
const maxWanted = 4096

func (s *Server) verifyMethods() []method {
	b := s.backend
	in := []argument{{name: "paths", sig: "aay"}, {name: "packages", sig: "as"}, {name: "options", sig: "as"}}
	start := func(name string, fix bool, doc string, options ...string) method {
		return method{
			name: name, doc: doc, in: in, out: []argument{argJob}, action: actionVerify,
			call: func(c call) ([]any, error) {
				req, err := verifyRequest(c, options)
				if err != nil {
					return nil, err
				}
				req.Fix = fix
				job, err := s.startJob(c.by, name, func(ctx context.Context, report func(stage string, done, total int)) (any, error) {
					return b.Verify(ctx, c.by, req, report)
				})
				return []any{job}, err
			},
		}
	}
	return []method{
		start("Verify", false, "Starts to compare what is on disk with what is vouched for and returns the number of that job: files of these absolute "+
			"paths, which are bytes, or of these packages, or everything if there are neither. Options: `idle` gives way to everybody else, `resume` "+
			"goes on where the same was interrupted, if it was. The result is a `Verification`, what it finds are the `Findings`.", "idle", "resume"),
		start("Fix", true, "The same, and puts right what it can: lists that are missing, files that are bound to the wrong list, and, with the option "+
			"`unlabelled`, files that are bound to none. It never touches content.", "idle", "resume", "unlabelled"),
		{
			name: "Verification",
			doc:  "Returns the verification that runs, or the latest, as a `Verification`. `NotFound` if there was none.",
			out:  dict("verification"),
			call: func(c call) ([]any, error) {
				v, err := b.Verification(c.ctx)
				return []any{api.Encode(v)}, err
			},
		},
		{
			name: "Findings",
			doc:  "Returns a page of what that verification found so far (`Finding`), in its order: of each package, then of each directory.",
			in:   []argument{argOffset, argLimit}, out: paged("findings"), action: actionVerify,
			call: func(c call) ([]any, error) {
				offset, limit, err := c.page(0)
				if err != nil {
					return nil, err
				}
				page, total, err := b.Findings(c.ctx, offset, limit)
				return onePage(page, limit, total), err
			},
		},
	}
}

// verifyRequest reads the arguments of a call that starts a verification.
func verifyRequest(c call, options []string) (req api.VerifyRequest, err error) {
	paths, packages, words := c.args[0].([][]byte), c.args[1].([]string), c.args[2].([]string)
	if len(paths)+len(packages) > maxWanted {
		return req, api.Errorf(api.InvalidArgument, "%d paths and packages; at most %d are allowed", len(paths)+len(packages), maxWanted)
	}
	for _, p := range paths {
		if err := (argument{name: "path", max: maxPath, any: true}).check(p); err != nil {
			return req, err
		}
		req.Paths = append(req.Paths, string(p))
	}
	for _, p := range packages {
		if err := (argument{name: "package", max: maxName}).check(p); err != nil {
			return req, err
		}
	}
	req.Packages = packages
	for _, w := range words {
		if !slices.Contains(options, w) {
			return req, api.Errorf(api.InvalidArgument, "there is no option %q", api.Clean(w))
		}
	}
	has := func(option string) bool { return slices.Contains(words, option) }
	req.Idle, req.Resume, req.Unlabelled = has("idle"), has("resume"), has("unlabelled")
	return req, nil
}
