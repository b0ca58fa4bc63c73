// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus/object"
)

// PolicyBackend is what policy files say here.
type PolicyBackend interface {
	// Policies returns the policies and the files that do not count, by name, without
	// their words.
	Policies(ctx context.Context) ([]api.Policy, error)
	// Policy returns one of them with its words.
	Policy(ctx context.Context, name string) (api.Policy, error)
	// PolicyForget lifts what stayed of a policy whose file is gone, and returns what
	// that was.
	PolicyForget(ctx context.Context, by api.Actor, name, reason string) (api.Policy, error)
}

// policyMethods are those about policy files.
func (s *Server) policyMethods() []object.Method {
	b := s.backend
	argName := object.Argument{Name: "name", Sig: "s", Max: object.MaxName}
	return []object.Method{
		{
			Name: "Policies",
			Doc:  "Returns a page of the policies (`Policy`, without their rules) by name: those in force, those of which rules stay although the file is gone, and files that do not count.",
			In:   []object.Argument{argOffset, argLimit}, Out: paged("policies"),
			Call: func(c object.Call) ([]any, error) { return pageOf(c, b.Policies) },
		},
		{
			Name: "Policy",
			Doc:  "Returns one policy with its rules on this machine.",
			In:   []object.Argument{argName}, Out: dict("policy"),
			Call: func(c object.Call) ([]any, error) {
				p, err := b.Policy(c.Ctx, c.Text(0))
				return []any{api.Encode(p)}, err
			},
		},
		{
			Name: "PolicyForget",
			Doc:  "Lifts the floors, denials and revocations that stayed of a policy whose file is gone, and returns them. `Failed` while the file counts. Lists return soon after.",
			In:   []object.Argument{argName, argReason}, Out: dict("policy"), Action: actionPolicy,
			Call: func(c object.Call) ([]any, error) {
				if err := given(c.Text(1)); err != nil {
					return nil, err
				}
				p, err := b.PolicyForget(c.Ctx, c.By, c.Text(0), c.Text(1))
				return []any{api.Encode(p)}, err
			},
		},
	}
}
