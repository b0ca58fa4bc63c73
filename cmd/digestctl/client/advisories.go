// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"

	"github.com/digestd/digestd/daemon/api"
)

// AdvisoryStatus says what the daemon knows of advisories.
func (c *Client) AdvisoryStatus(ctx context.Context) (api.AdvisoryStatus, error) {
	return get[api.AdvisoryStatus](ctx, c, "AdvisoryStatus")
}

// Advisories returns the installed packages of which an advisory mends a flaw.
func (c *Client) Advisories(ctx context.Context) ([]api.Advised, error) {
	return every[api.Advised](ctx, c, "Advisories")
}

// AdvisoriesWhy says what advisories say of a package, and what follows.
func (c *Client) AdvisoriesWhy(ctx context.Context, pkg string) (api.AdvisoryWhy, error) {
	return get[api.AdvisoryWhy](ctx, c, "AdvisoriesWhy", pkg)
}

// AdvisoriesForget forgets what the advisories of a repository said.
func (c *Client) AdvisoriesForget(ctx context.Context, repository, reason string) error {
	return c.call(ctx, "AdvisoriesForget", []any{repository, reason})
}
