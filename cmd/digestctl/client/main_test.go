// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"testing"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/ctltest"
	"github.com/digestd/digestd/cmd/digestctl/decide"
	"github.com/digestd/digestd/cmd/digestctl/query"
	"github.com/digestd/digestd/cmd/digestctl/verify"
	"github.com/spf13/cobra"
)

func TestMain(m *testing.M) {
	ctltest.Main(m, func(a *cli.App) []*cobra.Command {
		return []*cobra.Command{query.Status(a), query.Watch(a), verify.Sync(a), decide.Rollback(a)}
	})
}
