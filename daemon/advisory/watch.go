// SPDX-License-Identifier: Apache-2.0

package advisory

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/repo/cache"
	"github.com/fsnotify/fsnotify"
)

const (
	// settlePause outlasts the pauses between the files of one refresh.
	settlePause = time.Second
	// lookPause lies between two looks of which nobody told.
	lookPause = time.Hour
	// firstRetry and lastRetry lie between attempts to read what could not be read.
	firstRetry = time.Minute
	// watched bounds the directories that are watched.
	watched = 1024
)

// Run applies advisories whenever a cache or a list has changed, until ctx ends.
func (a *Adviser) Run(ctx context.Context) error {
	if a.Config.Advisories == config.AdvisoriesOff {
		return a.forgetAll(ctx)
	}
	// Without inotify it looks now and then.
	fsw, err := fsnotify.NewWatcher()
	if err != nil {
		a.Logger.Warn("caches of repositories not watched", "error", err)
	} else {
		defer fsw.Close()
	}
	var settle host.Pause
	settle.Start(a.Settle)
	retry := firstRetry
	for {
		var events <-chan fsnotify.Event
		var errs <-chan error
		if fsw != nil {
			events, errs = fsw.Events, fsw.Errors
		}
		rest := time.NewTimer(lookPause)
		select {
		case <-ctx.Done():
			rest.Stop()
			return nil
		case _, ok := <-events:
			if !ok {
				fsw = nil
			}
			settle.Start(a.Settle)
		case <-errs:
			settle.Start(a.Settle)
		case <-a.Changed:
			if !settle.Begun() {
				settle.Start(a.Settle)
			}
		case <-rest.C:
			settle.Start(0)
		case <-settle.C():
			settle.Ended()
			a.watch(fsw)
			if a.Snapshot().LastSync.When.IsZero() {
				break // what is installed is not known yet: lists that change will tell
			}
			if a.Apply(ctx) {
				clear(a.failed)
				settle.Start(retry)
				retry = min(2*retry, lookPause)
			} else {
				retry = firstRetry
			}
		}
		rest.Stop()
	}
}

// watch adds what there is to watch: what is watched already is not watched twice.
func (a *Adviser) watch(fsw *fsnotify.Watcher) {
	if fsw == nil {
		return
	}
	n := 0
	add := func(dir string) bool {
		n++
		return n <= watched && fsw.Add(dir) == nil
	}
	for _, m := range cache.Managers {
		// A directory that does not exist yet appears as a change of its parent.
		top := filepath.Join(a.Config.Root, m.Dir)
		for dir := top; !add(dir) && dir != filepath.Clean(a.Config.Root) && dir != "/"; {
			dir = filepath.Dir(dir)
		}
		entries, _ := os.ReadDir(top)
		for _, e := range entries {
			if e.IsDir() {
				add(filepath.Join(top, e.Name()))
				add(filepath.Join(top, e.Name(), "repodata"))
			}
		}
	}
}

// forgetAll forgets what advisories said: the owner turned them off.
func (a *Adviser) forgetAll(ctx context.Context) error {
	if len(a.Snapshot().Origins) == 0 {
		return nil
	}
	return a.Exec.Enter(ctx, "advise", func(s *ledger.Ledger) error {
		for name := range s.Origins {
			s.DropOrigin(&s.Queue.Batch, name)
		}
		s.MarkBelow(0, nil)
		s.Record()
		s.Show()
		return nil
	})
}

// Mend returns the command of the machine's package manager that installs the fixed
// packages.
func Mend(root string) string {
	there := func(program string) bool {
		_, err := os.Stat(filepath.Join(root, "usr/bin", program))
		return err == nil
	}
	if !there("dnf") && !there("dnf5") && there("zypper") {
		return "zypper patch --category security"
	}
	return "dnf upgrade --security"
}
