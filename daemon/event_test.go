// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"testing"

	"github.com/digestd/digestd/daemon/ledger"
)

// on enters a fact of a test.
func (d *Daemon) on(t *testing.T, fact func(s *ledger.Ledger) error) error {
	t.Helper()
	return d.Exec.Enter(t.Context(), "test", fact)
}
