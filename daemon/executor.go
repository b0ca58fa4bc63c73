// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"log/slog"
	"time"

	"github.com/digestd/digestd/daemon/ledger"
)

func newExecutor(s *ledger.Ledger, index indexEffects, dir directoryEffects, unitOf func(uint32) string, log *slog.Logger, now func() time.Time) *executor {
	return &executor{state: s, dir: dir, index: index, log: log, now: now, units: units{of: unitOf}, turn: make(chan struct{}, 1), closed: make(chan struct{})}
}
