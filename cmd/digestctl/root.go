// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/digestd/digestd/cmd/digestctl/advisories"
	"github.com/digestd/digestd/cmd/digestctl/anchor"
	"github.com/digestd/digestd/cmd/digestctl/check"
	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/decide"
	"github.com/digestd/digestd/cmd/digestctl/format"
	"github.com/digestd/digestd/cmd/digestctl/guard"
	"github.com/digestd/digestd/cmd/digestctl/keys"
	"github.com/digestd/digestd/cmd/digestctl/machine"
	"github.com/digestd/digestd/cmd/digestctl/man"
	"github.com/digestd/digestd/cmd/digestctl/metrics"
	"github.com/digestd/digestd/cmd/digestctl/order"
	"github.com/digestd/digestd/cmd/digestctl/own"
	"github.com/digestd/digestd/cmd/digestctl/policies"
	"github.com/digestd/digestd/cmd/digestctl/query"
	"github.com/digestd/digestd/cmd/digestctl/schema"
	"github.com/digestd/digestd/cmd/digestctl/verify"
	"github.com/spf13/cobra"
)

// rootCommand assembles the command of its verbs, in the order in which help and
// manual have them. Without a verb it is status.
func rootCommand(a *cli.App) *cobra.Command {
	status := query.Status(a)
	root := cli.Root(a,
		status, query.List(a), query.Show(a), query.Why(a), verify.Sync(a), query.Watch(a),
		verify.Verify(a), verify.Fix(a),
		query.Log(a), check.Command(a), check.Reader(a), decide.Rollback(a), decide.Floor(a), decide.Deny(a), policies.Command(a), advisories.Command(a), advisories.Reader(a),
		own.Command(a), order.Command(a), format.Command(a), keys.Command(a),
		guard.Command(a), anchor.Command(a), machine.Doctor(a), machine.Report(a), machine.IMAPolicy(a), metrics.Command(a), schema.Command(a), query.Version(a), man.Command(a),
	)
	root.RunE, root.Annotations = status.RunE, status.Annotations
	return root
}
