// SPDX-License-Identifier: Apache-2.0

package label

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/kernel"
	"golang.org/x/sys/unix"
)

// leftFile is a file whose label could not be written, and why.
type leftFile struct {
	path string
	err  error
}

// leaveLabels remembers files whose labels could not be written, for later attempts.
func (l *Labels) leaveLabels(left []leftFile) {
	if len(left) == 0 {
		return
	}
	err := l.Exec.Enter(context.Background(), "labels", func(s *ledger.Ledger) error {
		for _, f := range left {
			s.Labels.Add(f.path, f.err.Error())
		}
		s.SaveLabels()
		return nil
	})
	if err != nil {
		l.Logger.Error("labels that are left not recorded yet", "error", err)
	}
}

// Run writes the labels that are left, and those of lists that were not held.
func (l *Labels) Run(ctx context.Context) error {
	rest := state.FirstLabelRetry
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.LabelsWanted:
			l.renewStale(ctx)
			if again == nil {
				again = time.After(rest)
			}
		case <-again:
			again = nil
			if l.Retry(ctx) {
				rest = min(2*rest, state.LastLabelRetry)
				again = time.After(rest)
			} else {
				rest = state.FirstLabelRetry
			}
		}
	}
}

// renewStale writes the labels of files anew whose lists were not held. A file that
// resists has the right label all the same, so nothing is left.
func (l *Labels) renewStale(ctx context.Context) {
	var names []string
	err := l.Exec.Enter(ctx, "labels", func(s *ledger.Ledger) error {
		names = slices.Sorted(maps.Keys(s.Labels.Stale))
		clear(s.Labels.Stale)
		return nil
	})
	if err != nil || len(names) == 0 || !l.Config.Labels {
		return
	}
	l.renewQuietly(ctx, names)
}

func (l *Labels) renewQuietly(ctx context.Context, names []string) {
	if kernel.HasDigestCache("/") == kernel.No {
		return // nothing has cached a list, and files keep their times
	}
	files, resisted := 0, 0
	for _, name := range names {
		if ctx.Err() != nil {
			return
		}
		data, err := l.Dir.Read(name, nil)
		if err != nil {
			continue // it is gone, or about to be looked into
		}
		left := l.eachLabelled(l.Named(name), data, func(f *kernel.File, label string) error {
			if label != name {
				return nil
			}
			files++
			return f.SetLabel(name)
		})
		resisted += len(left)
	}
	l.Logger.Info("labels written again", "reason", "their lists were not held", "lists", len(names), "files", files, "failed", resisted)
}

// RenewUnheld writes the labels again of lists that could not be held. It runs before
// digestd stops holding lists.
func (l *Labels) RenewUnheld() {
	if names := l.Dir.Unheld(); len(names) > 0 && l.Config.Labels {
		ctx, cancel := context.WithTimeout(context.Background(), state.StopLabels)
		defer cancel()
		l.renewQuietly(ctx, names)
	}
}

// Retry tries again to write the labels that are left, and reports whether some remain.
func (l *Labels) Retry(ctx context.Context) (left bool) {
	var files map[string]state.LeftLabel
	var all bool
	err := l.Exec.Enter(ctx, "labels", func(s *ledger.Ledger) error {
		files, all = maps.Clone(s.Labels.Files), s.Labels.All
		return nil
	})
	if err != nil || len(files) == 0 && !all {
		return false
	}
	snap := l.Snapshot()
	known := !slices.ContainsFunc(snap.Entries, func(e *view.Entry) bool { return e.Active() && !e.Broken && e.Refs == nil })
	failed := map[string]error{}
	for path := range files {
		if ctx.Err() != nil {
			return true
		}
		err := l.withLabel([]byte(path), func(f *kernel.File, label string) error { return settleLabel(snap, known, path, f, label) })
		if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
			failed[path] = err
		}
	}
	if all {
		all = l.settleAll(ctx, snap, failed)
	}
	err = l.Exec.Enter(ctx, "labels", func(s *ledger.Ledger) error {
		for path, before := range files {
			if failed[path] == nil {
				s.Labels.Done(path, before)
			}
		}
		s.Labels.All = all
		for path, err := range failed {
			if _, known := s.Labels.Files[path]; !known || s.Labels.Files[path].Serial == files[path].Serial {
				s.Labels.Add(path, err.Error())
			}
		}
		s.SaveLabels()
		left = len(s.Labels.Files) > 0 || s.Labels.All
		return nil
	})
	return left || err != nil
}

// errNotKnown means that a start has not read yet which files lists have.
var errNotKnown = errors.New("the files of lists are not known before a comparison")

// settleLabel gives a file the label that it should have: of the list it is bound to,
// or, if that is gone, of another that has its path. To write the same label again is
// what makes the kernel ask again. known says that s knows the files of all active lists.
func settleLabel(s *view.Snapshot, known bool, path string, f *kernel.File, label string) error {
	if s.IsActive(label) {
		return f.RenewLabel(label)
	}
	if heir := s.Heir(label, nil, []byte(path)); heir != "" {
		if e := s.List(heir); e != nil && e.Own != "" {
			return f.RemoveLabel() // whether the file is what that list has is not known here
		}
		return f.SetLabel(heir)
	}
	if !known {
		return errNotKnown
	}
	if _, rest, err := ledger.FormatOf(label); err == nil && strings.HasPrefix(rest, "own-") {
		return f.RemoveLabel() // as when its own list was removed
	}
	return f.RenewLabel(label)
}

// settleAll settles the labels of all files of active lists that name a list which is
// gone. It adds to failed as many as are remembered, and reports whether more are left.
func (l *Labels) settleAll(ctx context.Context, snap *view.Snapshot, failed map[string]error) (more bool) {
	for _, e := range snap.Entries {
		if !e.Active() {
			continue
		}
		if ctx.Err() != nil {
			return true
		}
		data, err := l.Dir.Read(e.Name, nil)
		if err != nil {
			continue
		}
		var left []leftFile
		if e.Own != "" {
			left = l.bindHeir(ctx, e, data, func(label string) bool { return label != "" && !snap.IsActive(label) })
		} else {
			left = l.eachLabelled(e, data, func(f *kernel.File, label string) error {
				if snap.IsActive(label) {
					return nil
				}
				return f.SetLabel(e.Name)
			})
		}
		for _, x := range left {
			if len(failed) >= state.MaxLeftLabels {
				return true
			}
			failed[x.path] = x.err
		}
	}
	return false
}
