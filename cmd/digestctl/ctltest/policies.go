// SPDX-License-Identifier: Apache-2.0

package ctltest

import (
	"context"

	"github.com/digestd/digestd/daemon/api"
)

var memoryPolicies = []api.Policy{
	{Name: "base", State: api.PolicyInForce, Path: "/usr/lib/digestd/policy.d/base.toml", Package: "fleet-policy-0:20261129-1.noarch", Key: hexA[:40],
		Digest: hexB, Since: Noon, Effect: "it has 2 rules; 1 of 40 lists must be withdrawn", Description: "what all machines have in common",
		Rules: []api.PolicyRule{{Kind: "floor", What: "openssl", Says: "1:3.0.7-18", Reason: "CVE-2022-3602", Tightens: true},
			{Kind: "exemption", What: "lxc", Reason: "containers"}}},
	{Name: "old", State: api.PolicyLapsed, Path: "/usr/lib/digestd/policy.d/old.toml", Package: "old-policy-0:1-1.noarch", Key: hexA[:40],
		Digest: hexA, Since: Noon.AddDate(0, -1, 0), Effect: "it says 1 thing; 0 lists of 40 must go", Gone: Noon, Why: "the file is gone",
		Rules: []api.PolicyRule{{Kind: "denial", What: "telnet-server", Reason: "not here", Tightens: true}}},
	{Name: "site", State: api.PolicyIgnored, Path: "/etc/digestd/policy.d/site.toml", Why: "line 7: floor.version: 1-1 has no epoch: write 0:1-1, or the epoch that the package has"},
}

// Policies are without their rules.
func (m *Daemon) Policies(context.Context) (all []api.Policy, err error) {
	if m.is("empty") {
		return nil, nil
	}
	for _, p := range memoryPolicies {
		p.Rules = nil
		all = append(all, p)
	}
	return all, nil
}

// Policy returns one with its rules.
func (m *Daemon) Policy(_ context.Context, name string) (api.Policy, error) {
	for _, p := range memoryPolicies {
		if p.Name == name {
			return p, nil
		}
	}
	return api.Policy{}, &api.Error{Code: api.NotFound, Message: `there is no policy "` + name + `"`, Advice: "see digestctl policy show"}
}

// PolicyForget forgets the one that lapsed.
func (m *Daemon) PolicyForget(ctx context.Context, _ api.Actor, name, _ string) (api.Policy, error) {
	p, err := m.Policy(ctx, name)
	if err == nil && p.State == api.PolicyInForce {
		err = &api.Error{Code: api.Failed, Message: "the policy " + name + " is in force, from " + p.Path,
			Advice: "remove its package first, or install a release of it that says something else"}
	}
	return p, err
}
