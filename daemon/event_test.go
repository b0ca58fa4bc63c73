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

// probe commits, whether or not anything is queued.
func (d *Daemon) probe(t *testing.T) error {
	t.Helper()
	return d.Exec.Decide(t.Context(), "test", (*ledger.Ledger).Probe)
}
