// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"

	"github.com/digestd/digestd/daemon/api"
)

// AdvisoryStatus returns the state of security advisories.
func (c *Client) AdvisoryStatus(ctx context.Context) (api.AdvisoryStatus, error) {
	return get[api.AdvisoryStatus](ctx, c, "AdvisoryStatus")
}

// Advisories returns the installed packages with a flaw that an advisory fixes.
func (c *Client) Advisories(ctx context.Context) ([]api.Advised, error) {
	return every[api.Advised](ctx, c, "Advisories")
}

// AdvisoriesWhy explains what advisories require of a package, and what follows.
func (c *Client) AdvisoriesWhy(ctx context.Context, pkg string) (api.AdvisoryWhy, error) {
	return get[api.AdvisoryWhy](ctx, c, "AdvisoriesWhy", pkg)
}

// AdvisoriesForget removes everything that the advisories of a repository caused.
func (c *Client) AdvisoriesForget(ctx context.Context, repository, reason string) error {
	return c.call(ctx, "AdvisoriesForget", []any{repository, reason})
}
