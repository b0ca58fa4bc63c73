// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"slices"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus/object"
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

func (s *Server) verifyMethods() []object.Method {
	b := s.backend
	in := []object.Argument{{Name: "paths", Sig: "aay"}, {Name: "packages", Sig: "as"}, {Name: "options", Sig: "as"}}
	start := func(name string, fix bool, doc string, options ...string) object.Method {
		return object.Method{
			Name: name, Doc: doc, In: in, Out: []object.Argument{argJob}, Action: actionVerify,
			Call: func(c object.Call) ([]any, error) {
				req, err := verifyRequest(c, options)
				if err != nil {
					return nil, err
				}
				req.Fix = fix
				job, err := s.StartJob(c.By, name, func(ctx context.Context, report func(stage string, done, total int)) (any, error) {
					return b.Verify(ctx, c.By, req, report)
				})
				return []any{job}, err
			},
		}
	}
	return []object.Method{
		start("Verify", false, "Starts to compare what is on disk with what is vouched for and returns the number of that job: files of these absolute "+
			"paths, which are bytes, or of these packages, or everything if there are neither. Options: `idle` gives way to everybody else, `resume` "+
			"goes on where the same was interrupted, if it was. The result is a `Verification`, what it finds are the `Findings`.", "idle", "resume"),
		start("Fix", true, "The same, and puts right what it can: lists that are missing, files that are bound to the wrong list, and, with the option "+
			"`unlabelled`, files that are bound to none. It never touches content.", "idle", "resume", "unlabelled"),
		{
			Name: "Verification",
			Doc:  "Returns the running or the latest verification, as a `Verification`. `NotFound` if there was none.",
			Out:  dict("verification"),
			Call: func(c object.Call) ([]any, error) {
				v, err := b.Verification(c.Ctx)
				return []any{api.Encode(v)}, err
			},
		},
		{
			Name: "Findings",
			Doc:  "Returns a page of the findings of that verification so far (`Finding`), in its order: of each package, then of each directory.",
			In:   []object.Argument{argOffset, argLimit}, Out: paged("findings"), Action: actionVerify,
			Call: func(c object.Call) ([]any, error) {
				offset, limit, err := c.Page(0)
				if err != nil {
					return nil, err
				}
				page, total, err := b.Findings(c.Ctx, offset, limit)
				return onePage(page, limit, total), err
			},
		},
	}
}

// verifyRequest reads the arguments of a call that starts a verification.
func verifyRequest(c object.Call, options []string) (req api.VerifyRequest, err error) {
	paths, packages, words := c.Args[0].([][]byte), c.Args[1].([]string), c.Args[2].([]string)
	if len(paths)+len(packages) > maxWanted {
		return req, api.Errorf(api.InvalidArgument, "%d paths and packages; at most %d are allowed", len(paths)+len(packages), maxWanted)
	}
	for _, p := range paths {
		if err := (object.Argument{Name: "path", Max: object.MaxPath, Any: true}).Check(p); err != nil {
			return req, err
		}
		req.Paths = append(req.Paths, string(p))
	}
	for _, p := range packages {
		if err := (object.Argument{Name: "package", Max: object.MaxName}).Check(p); err != nil {
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
