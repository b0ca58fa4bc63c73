// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/hooks/wire"
)

// errTooMany means that as many package managers are served as may be.
var errTooMany = fmt.Errorf("the limit of %d connected package managers is reached", maxSessions)

// refusalsShown is how long status tells of a hook that was not served.
const refusalsShown = 10 * time.Second

// refusals counts the hooks that could not be served lately.
type refusals struct {
	mu    sync.Mutex
	count int
	timer *time.Timer
}

// hookRefused tells the administrator that a package manager could not be served,
// until none was refused for a while.
func (ss *Server) hookRefused(ctx context.Context, err error) {
	r := &ss.refusals
	r.mu.Lock()
	r.count++
	count := r.count
	if r.timer != nil {
		r.timer.Stop()
	}
	r.timer = time.AfterFunc(refusalsShown, func() { ss.hooksServed(ctx) })
	r.mu.Unlock()
	if count > 1 {
		return
	}
	ss.Exec.Enter(ctx, "note", func(s *ledger.Ledger) error {
		s.Problem("hooks", api.SeverityError, "digestd cannot serve package managers: "+err.Error(),
			"see which processes connect: ss -xp; the limit on descriptors is LimitNOFILE of digestd.service")
		s.Show()
		return nil
	})
}

func (ss *Server) hooksServed(ctx context.Context) {
	ss.refusals.mu.Lock()
	ss.refusals.count = 0
	ss.refusals.mu.Unlock()
	ss.Exec.Enter(ctx, "note", func(s *ledger.Ledger) error {
		s.Solved("hooks")
		s.Show()
		return nil
	})
}

// anotherDatabase is why a transaction on this root is not followed.
const anotherDatabase = "another database"

// tellOfDatabase tells the administrator that rpm writes to another database than
// the one that is followed, on the same root: of what it installs nothing is known.
func (ss *Server) tellOfDatabase(ctx context.Context, m *wire.Begin) {
	ours, err := ss.LocateDB()
	if err != nil {
		return
	}
	theirs := filepath.Clean("/" + api.Clean(m.DBPath))
	ss.Exec.Enter(ctx, "note", func(s *ledger.Ledger) error {
		s.Problem("database", api.SeverityWarning,
			fmt.Sprintf("there are two rpm databases: a transaction wrote to %s, but digestd follows %s; the packages it installed have no lists", theirs, ours),
			fmt.Sprintf("see which one rpm uses: rpm --eval %%_dbpath; if it is %s, set dbpath = %q in digestd.conf and restart digestd, or remove the unused one", theirs, theirs))
		s.Show()
		return nil
	})
}
