// SPDX-License-Identifier: Apache-2.0

package advisory

import (
	"fmt"
	"path"
	"sync"
	"time"

	"github.com/digestd/digestd/daemon/advisory/needed"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
)

const (
	// mostLists and mostPercent bound the lists that go for advisories a day.
	mostLists   = 20
	mostPercent = 5
	// keptFiles is how long what the machine needs is taken to be what it was.
	keptFiles = time.Minute
)

// keeper knows what must stay.
type keeper struct {
	mu    sync.Mutex
	files *needed.Files
	found time.Time
}

// needs are the files that the machine needs.
func (k *keeper) needs(root string, find func(string) *needed.Files) *needed.Files {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.files == nil || time.Since(k.found) > keptFiles {
		k.files, k.found = find(root), time.Now()
	}
	return k.files
}

// stays says why the list of a package is never withdrawn for an advisory, "" if it is.
func (a *Adviser) stays(e *view.Entry) (why string) {
	for _, glob := range a.Config.AdvisoriesProtect {
		if ok, err := path.Match(glob, e.Package.Name); ok && err == nil {
			return "advisories-protect has " + glob
		}
	}
	if !e.Active() {
		return ""
	}
	files := a.keeper.needs(a.Config.Root, a.Needs)
	err := a.EachFile(e, func(_ digestlist.Algo, _, path []byte) error {
		if reason := files.Why(string(path)); reason != "" && why == "" {
			why = api.Clean(fmt.Sprintf("%s: %s", path, reason))
		}
		return nil
	})
	if err != nil {
		return fmt.Sprintf("its files are not known: %v", err)
	}
	return why
}

// keepers says which of the lists that an advisory is about must stay, and why. It reads
// them before the turn; what came since is judged by the next look.
func (a *Adviser) keepers() func(*view.Entry) string {
	if a.Config.Advisories != config.AdvisoriesWithdraw {
		return func(*view.Entry) string { return "" }
	}
	snap := a.Snapshot()
	known := map[string]string{}
	for _, e := range snap.Entries {
		if e.Active() && snap.Below(e) != nil {
			known[e.Name] = a.stays(e)
		}
	}
	return func(e *view.Entry) string {
		if why, is := known[e.Name]; is {
			return why
		}
		return "it was not looked at yet"
	}
}

// retract has the ledger withdraw the lists whose day has come.
func (a *Adviser) retract(s *ledger.Ledger, keep func(*view.Entry) string) {
	active := 0
	for _, e := range s.Sorted() {
		if e.Active() {
			active++
		}
	}
	most := min(mostLists, max(1, active*mostPercent/100))
	gone, waiting := s.Retract(grounds.Retraction{Most: most, Keep: keep})
	if gone > 0 {
		a.Logger.Warn("lists withdrawn for advisories", "lists", gone, "wait", waiting)
	}
	if waiting == 0 {
		s.Solved(ProblemDue)
		return
	}
	s.Problem(ProblemDue, api.SeverityWarning, fmt.Sprintf("%s due to be withdrawn for advisories, and at most %d a day are", view.Plural(waiting, "list"), most),
		"update the packages: "+Mend(a.Config.Root)+"; or have the advisories forgotten: digestctl advisories forget REPOSITORY --reason WHY")
}
