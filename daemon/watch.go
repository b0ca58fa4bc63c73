// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// directoryPause gathers the events of one act of another hand.
	directoryPause = 20 * time.Millisecond
	// busyPause is the same while a transaction is in flight, which touches the
	// directory itself all the time.
	busyPause = 200 * time.Millisecond
	// databasePause outlasts the pauses between rpm's writes to its database.
	databasePause = 250 * time.Millisecond
)

// watcher turns changes on disk into work: the list directory and its path,
// rpm's database, and the directory of certificates. It is a hint, not a guard:
// inotify misses changes through a mapping or a second name, which the
// reconciliations find.
type watcher struct {
	d  *Daemon
	fs *fsnotify.Watcher
	db string // the directory of rpm's database that is watched

	names map[string]bool // that something happened to in the list directory; nil: look at all
}

func (d *Daemon) newWatcher() (*watcher, error) {
	fsw, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("cannot watch for changes: %w", err)
	}
	w := &watcher{d: d, fs: fsw, names: map[string]bool{}}
	for _, dir := range []string{d.config.Lists, filepath.Dir(d.config.Lists)} {
		if err := fsw.Add(dir); err != nil {
			fsw.Close()
			return nil, fmt.Errorf("cannot watch %s: %w", dir, err)
		}
	}
	// These may be absent; a reload looks again.
	fsw.Add(d.config.Keys)
	fsw.Add(d.config.Revoked)
	fsw.Add(d.config.Blacklist)
	w.followDB()
	return w, nil
}

// followDB watches the database's directory once there is one; a rebuild of
// the database replaces files in it, a relocation changes the directory.
func (w *watcher) followDB() {
	dir, err := w.d.locateDB()
	if err != nil || dir == w.db {
		return
	}
	if w.db != "" {
		w.fs.Remove(w.db)
	}
	if err := w.fs.Add(dir); err == nil {
		w.db = dir
	}
	w.fs.Add(filepath.Join(dir, "pubkeys"))
}

func (w *watcher) run(ctx context.Context) error {
	defer w.fs.Close()
	var directory, database, keys pause
	for {
		select {
		case <-ctx.Done():
			return nil
		case ev, ok := <-w.fs.Events:
			if !ok {
				return nil
			}
			switch w.subject(ev.Name) {
			case subjectLists:
				w.note(ev.Name)
				if directory.timer == nil {
					directory.start(w.directoryPause())
				}
			case subjectDatabase:
				if w.d.snapshot().open > 0 {
					// rpm writes thousands of times; its end is soon enough.
					w.fs.Remove(w.db)
					w.db = ""
				} else {
					database.start(databasePause)
				}
			case subjectKeys:
				keys.start(databasePause)
			}
		case err, ok := <-w.fs.Errors:
			if !ok {
				return nil
			}
			// Events were lost: look at everything.
			w.d.log.Warn("watch overflowed", "error", err)
			w.names = nil
			directory.start(directoryPause)
			database.start(databasePause)
			keys.start(databasePause)
		case <-w.d.rested:
			w.followDB()
			database.start(databasePause)
		case <-directory.c():
			directory.ended()
			w.d.checkDirectory(ctx, w.names)
			w.names = map[string]bool{}
		case <-database.c():
			database.ended()
			w.followDB()
			w.d.databaseChanged()
		case <-keys.c():
			keys.ended()
			w.d.wantSync("trusted certificates changed")
		}
	}
}

// note remembers a name in the list directory, up to a bound.
func (w *watcher) note(path string) {
	const many = 4096
	switch {
	case w.names == nil:
	case path == w.d.config.Lists || len(w.names) == many:
		w.names = nil
	default:
		w.names[filepath.Base(path)] = true
	}
}

func (w *watcher) directoryPause() time.Duration {
	if w.d.snapshot().open > 0 {
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
)

func (w *watcher) subject(path string) subject {
	switch dir := filepath.Dir(path); {
	case dir == w.d.config.Lists && filepath.Base(path) != ".poke", path == w.d.config.Lists:
		return subjectLists
	case dir == w.db:
		return subjectDatabase
	case dir == filepath.Join(w.db, "pubkeys"), dir == w.d.config.Keys, dir == w.d.config.Revoked, dir == w.d.config.Blacklist:
		return subjectKeys
	}
	return subjectNone
}

// pause is a timer that is set once and fires after the last event of a burst.
// It does not exist while nothing happens, so an idle daemon sleeps.
type pause struct{ timer *time.Timer }

func (p *pause) start(d time.Duration) {
	if p.timer == nil {
		p.timer = time.NewTimer(d)
		return
	}
	p.timer.Reset(d)
}

func (p *pause) c() <-chan time.Time {
	if p.timer == nil {
		return nil
	}
	return p.timer.C
}

func (p *pause) ended() { p.timer = nil }
