// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"testing"

	"github.com/digestd/digestd/daemon/api"
)

// TestStatementCountsExemptions: a verifier learns of each exemption, by name or by number.
func TestStatementCountsExemptions(t *testing.T) {
	for _, n := range []int{0, mostExempt, mostExempt + 1, 500} {
		g := api.Guard{Mode: "enforce"}
		for i := range n {
			g.Exempt = append(g.Exempt, api.GuardExemption{Name: fmt.Sprint("machine.slice/", i)})
		}
		got := statedGuard(g)
		if len(got.Exempt) > mostExempt || len(got.Exempt)+got.More != n || got.Mode != g.Mode {
			t.Errorf("of %d exemptions the statement names %d, and counts %d more", n, len(got.Exempt), got.More)
		}
	}
}
