// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/verify"
)

// report reports units in their order, with beats in between.
func (e *engine) report(ctx context.Context, tell func(verify.Message) error) error {
	ticker := time.NewTicker(beatTime)
	defer ticker.Stop()
	for u := range e.units {
		for waiting := true; waiting; {
			select {
			case <-u.done:
				waiting = false
			case <-ticker.C:
				beat := &verify.Beat{Searching: e.searching.Load(), Files: int(e.files.Load()), Dirs: int(e.dirs.Load())}
				if err := tell(verify.Message{Beat: beat}); err != nil {
					return err
				}
			}
		}
		if ctx.Err() != nil {
			return nil // parts of it were skipped
		}
		e.settle(u)
		if err := tell(verify.Message{Unit: &u.Unit}); err != nil {
			return err
		}
	}
	return nil
}

// settle drops the findings of a list that was removed meanwhile by a package transaction.
func (e *engine) settle(u *unit) {
	if u.entry == nil || u.entry.State != active || u.stamp == (stamp{}) {
		return
	}
	if len(u.Findings)+u.Dropped.Dropped > 0 && !e.index.unchanged(*u.entry, u.stamp) {
		u.Findings, u.Dropped, u.Moved = nil, api.Verification{}, true
	}
}

// named returns f with the path.
func named(path string, f api.Finding) api.Finding {
	f.Path = path
	if !utf8.ValidString(path) {
		f.Path, f.RawPath = strings.ToValidUTF8(path, "\uFFFD"), []byte(path)
	}
	return f
}
