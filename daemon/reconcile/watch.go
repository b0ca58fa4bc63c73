// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/keysource"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

const (
	// directoryPause gathers the events of one act of another program.
	directoryPause = 20 * time.Millisecond
	// busyPause is the same while a transaction is in flight, which touches the
	// directory itself all the time.
	busyPause = 200 * time.Millisecond
	// databasePause outlasts the pauses between rpm's writes to its database.
	databasePause = 250 * time.Millisecond
	// pollPause lies between two looks where the kernel tells of nothing.
	pollPause = 5 * time.Second
)

// watcher turns changes on disk into work: the list directory and its path,
// rpm's database, the directories of certificates and the state directory. It is a
// hint, not a guard: inotify misses changes through a mapping or a second name,
// which the reconciliations find. Without inotify it looks every pollPause.
type watcher struct {
	*Reconciler
	fs *fsnotify.Watcher // nil: there is none
	db string            // the directory of rpm's database that is watched

	names map[string]bool // that something happened to in the list directory; nil: look at all
	keys  [5]time.Time    // when the directories of certificates and policies changed, while there is no inotify
}

// Watch returns a watcher that watches already, if that is possible.
func (rc *Reconciler) Watch(ctx context.Context) *watcher {
	w := &watcher{Reconciler: rc, names: map[string]bool{}}
	if err := w.open(); err != nil {
		w.blind(ctx, err)
	}
	return w
}

// open takes an inotify instance and watches what there is to watch.
func (w *watcher) open() (err error) {
	fsw, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	c := w.Config
	for _, dir := range []string{c.Lists, filepath.Dir(c.Lists), c.State} {
		if err == nil {
			err = fsw.Add(dir)
		}
	}
	// These may be absent; a reload looks again.
	for _, dir := range append([]string{c.Keys, c.Revoked, c.Blacklist}, w.Policies.Directories()...) {
		if err == nil {
			err = addIfThere(fsw, dir)
		}
	}
	if err != nil {
		fsw.Close()
		return err
	}
	w.fs, w.db = fsw, ""
	return w.followDB()
}

func addIfThere(fsw *fsnotify.Watcher, dir string) error {
	err := fsw.Add(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	return err
}

// blind ends what inotify is left and has changes looked for.
func (w *watcher) blind(ctx context.Context, why error) {
	if w.fs != nil {
		w.fs.Close()
		w.fs = nil
	}
	w.keys = w.keyTimes()
	w.Exec.Enter(ctx, "note", func(s *ledger.Ledger) error {
		s.Problem("watch", api.SeverityWarning,
			fmt.Sprintf("the kernel does not report changes on disk (inotify: %v); digestd checks every %v instead", why, pollPause),
			"raise fs.inotify.max_user_instances or fs.inotify.max_user_watches with sysctl; digestd retries automatically")
		s.Show()
		return nil
	})
}

// poll looks for changes that nobody told of, unless inotify works again.
func (w *watcher) poll(ctx context.Context) {
	reopened := w.open()
	if reopened == nil {
		w.Exec.Enter(ctx, "note", func(s *ledger.Ledger) error {
			s.Solved("watch")
			s.Show()
			return nil
		})
	} else if w.fs != nil {
		w.blind(ctx, reopened)
	}
	w.CheckDirectory(ctx, nil)
	w.followState(ctx)
	w.databaseChanged()
	if now := w.keyTimes(); now != w.keys {
		w.keys = now
		w.TrustChanged(ctx, "trusted certificates changed")
	}
}

func (w *watcher) keyTimes() (times [5]time.Time) {
	c := w.Config
	for i, dir := range append([]string{c.Keys, c.Revoked, c.Blacklist}, w.Policies.Directories()...) {
		times[i] = keysource.Modified(dir)
	}
	return times
}

// followDB watches the database's directory once there is one; a rebuild of
// the database replaces files in it, a relocation changes the directory.
func (w *watcher) followDB() error {
	if w.fs == nil {
		return nil
	}
	dir, err := w.LocateDB()
	if err != nil || dir == w.db {
		return nil
	}
	if w.db != "" {
		w.fs.Remove(w.db)
		w.db = ""
	}
	if err = w.fs.Add(dir); err == nil {
		w.db = dir
		err = addIfThere(w.fs, filepath.Join(dir, "pubkeys"))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// follow is followDB, but an error makes the watcher poll instead.
func (w *watcher) follow(ctx context.Context) {
	if err := w.followDB(); err != nil {
		w.blind(ctx, err)
	}
}

// channels are those of inotify, nil without it, and when to look by oneself.
func (w *watcher) channels() (events <-chan fsnotify.Event, errs <-chan error, look <-chan time.Time) {
	if w.fs == nil {
		return nil, nil, time.After(pollPause)
	}
	return w.fs.Events, w.fs.Errors, nil
}

// Run turns changes into work until ctx ends.
func (w *watcher) Run(ctx context.Context) error {
	defer func() {
		if w.fs != nil {
			w.fs.Close()
		}
	}()
	var directory, database, keys, state, policies host.Pause
	for {
		events, errs, look := w.channels()
		select {
		case <-ctx.Done():
			return nil
		case <-look:
			w.poll(ctx)
		case ev, ok := <-events:
			if !ok {
				return nil
			}
			switch w.subject(ev) {
			case subjectLists:
				w.note(ev.Name)
				if !directory.Begun() {
					directory.Start(w.directoryPause())
				}
			case subjectDatabase:
				if w.Snapshot().Open > 0 {
					// rpm writes thousands of times; its end is soon enough.
					w.fs.Remove(w.db)
					w.db = ""
				} else {
					database.Start(databasePause)
				}
			case subjectKeys:
				keys.Start(databasePause)
			case subjectState:
				state.Start(directoryPause)
			case subjectPolicies:
				policies.Start(databasePause)
			}
		case err, ok := <-errs:
			if !ok {
				return nil
			}
			// Events were lost: verify all lists and executables.
			w.Logger.Warn("watch overflowed", "error", err)
			w.names = nil
			directory.Start(directoryPause)
			database.Start(databasePause)
			keys.Start(databasePause)
			state.Start(directoryPause)
			policies.Start(databasePause)
		case <-w.Rested:
			w.follow(ctx)
			database.Start(databasePause)
		case <-directory.C():
			directory.Ended()
			w.CheckDirectory(ctx, w.names)
			w.names = map[string]bool{}
		case <-database.C():
			database.Ended()
			w.follow(ctx)
			w.databaseChanged()
		case <-keys.C():
			keys.Ended()
			w.TrustChanged(ctx, "trusted certificates changed")
		case <-policies.C():
			policies.Ended()
			if err := w.Policies.Refresh(ctx); err != nil && ctx.Err() == nil {
				w.Logger.Warn("policy files not taken over", "error", err)
				w.WantSync("policy files changed")
			}
		case <-state.C():
			state.Ended()
			if !w.followState(ctx) {
				state.Start(pollPause)
			}
		}
	}
}

// followState looks after the state directory, and watches what lies at its path now:
// inotify forgets a directory that was moved or removed, and the next exchange must
// be noticed as well. It reports whether that is done.
func (w *watcher) followState(ctx context.Context) bool {
	if w.fs == nil {
		w.settleState(ctx)
		return true // poll goes on
	}
	err := w.fs.Add(w.Config.State)
	return w.settleState(ctx) && err == nil
}

// note remembers a name in the list directory, up to a bound.
func (w *watcher) note(path string) {
	const many = 4096
	switch {
	case w.names == nil:
	case path == w.Config.Lists || len(w.names) == many:
		w.names = nil
	default:
		w.names[filepath.Base(path)] = true
	}
}

func (w *watcher) directoryPause() time.Duration {
	if w.Snapshot().Open > 0 {
		return busyPause
	}
	return directoryPause
}

type subject uint8

const (
	subjectNone subject = iota
	subjectLists
	subjectDatabase
	subjectKeys
	subjectState
	subjectPolicies
)

func (w *watcher) subject(ev fsnotify.Event) subject {
	path := ev.Name
	switch dir := filepath.Dir(path); {
	case dir == w.Config.State:
		// A commit writes to the index and replaces the commit file beside it.
		if ev.Op.Has(fsnotify.Remove|fsnotify.Rename|fsnotify.Create) && !strings.HasPrefix(filepath.Base(path), "index.commit") {
			return subjectState
		}
		return subjectNone
	case path == w.Config.State:
		return subjectState
	case dir == w.Config.Lists && filepath.Base(path) != ".poke", path == w.Config.Lists:
		return subjectLists
	case dir == w.db:
		return subjectDatabase
	case dir == filepath.Join(w.db, "pubkeys"), dir == w.Config.Keys, dir == w.Config.Revoked, dir == w.Config.Blacklist:
		return subjectKeys
	case slices.Contains(w.Policies.Directories(), dir):
		return subjectPolicies
	}
	return subjectNone
}

// LookAgain makes the watcher compare rpm's database with what was reconciled
// last, as after a transaction. It is a hint, so it costs next to nothing when
// nothing has changed.
func (rc *Reconciler) LookAgain() {
	select {
	case rc.Rested <- struct{}{}:
	default:
	}
}
