// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus/object"
)

// AdvisoryBackend applies the advisories of repositories.
type AdvisoryBackend interface {
	// AdvisoryStatus says what is known of advisories.
	AdvisoryStatus(ctx context.Context) (api.AdvisoryStatus, error)
	// Advisories returns the installed packages of which an advisory mends a flaw.
	Advisories(ctx context.Context) ([]api.Advised, error)
	// AdvisoriesWhy says what advisories say of a package: a name or name.arch.
	AdvisoriesWhy(ctx context.Context, pkg string) (api.AdvisoryWhy, error)
	// AdvisoriesForget forgets what the advisories of a repository said.
	AdvisoriesForget(ctx context.Context, by api.Actor, repository, reason string) error
}

// advisoryMethods are those about advisories.
func (s *Server) advisoryMethods() []object.Method {
	b := s.backend
	return []object.Method{
		{
			Name: "AdvisoryStatus",
			Doc:  "Returns the state of the advisories of package repositories, as an `AdvisoryStatus`.",
			Out:  dict("advisories"),
			Call: func(c object.Call) ([]any, error) {
				st, err := b.AdvisoryStatus(c.Ctx)
				return []any{api.Encode(st)}, err
			},
		},
		{
			Name: "Advisories",
			Doc:  "Returns a page of the installed packages with a flaw that an advisory fixes (`Advised`), the most severe first.",
			In:   []object.Argument{argOffset, argLimit}, Out: paged("packages"),
			Call: func(c object.Call) ([]any, error) { return pageOf(c, b.Advisories) },
		},
		{
			Name: "AdvisoriesWhy",
			Doc:  "Returns the advisories about a package, a name or `name.arch`, and their effect, as an `AdvisoryWhy`. `NotFound` if there are none.",
			In:   []object.Argument{argPackage}, Out: dict("why"),
			Call: func(c object.Call) ([]any, error) {
				why, err := b.AdvisoriesWhy(c.Ctx, c.Text(0))
				return []any{api.Encode(why)}, err
			},
		},
		{
			Name: "AdvisoriesForget",
			Doc:  "Forgets all advisories of a repository. digestd applies the metadata of the repository again when it changes.",
			In:   []object.Argument{{Name: "repository", Sig: "s", Max: object.MaxName}, argReason}, Action: actionFloor,
			Call: func(c object.Call) ([]any, error) {
				if err := given(c.Text(1)); err != nil {
					return nil, err
				}
				return nil, b.AdvisoriesForget(c.Ctx, c.By, c.Text(0), c.Text(1))
			},
		},
	}
}
