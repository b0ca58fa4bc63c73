// SPDX-License-Identifier: Apache-2.0

package deny

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/digestd/digestd/daemon/build"
	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// Enforce makes the list directory hold nothing that is denied, and returns how many lists had
// to leave it or to change. The denials are durable before the first list leaves, so a start
// after a crash completes the work. A list that cannot be made anew leaves the directory, and a
// comparison is wanted.
func (d *Denier) Enforce(ctx context.Context) (lists int, err error) {
	harmless := map[*view.Entry]bool{} // that only seemed to hold something
	for {
		var (
			out     int
			hit     []*view.Entry
			denials *policy.Denials
			basis   uint64
		)
		err := d.Exec.Decide(ctx, "deny", func(s *ledger.Ledger) error {
			var leave []state.Suspension
			leave, hit = s.DeniedLists(harmless)
			out, denials, basis = len(leave), s.Denials, s.Basis
			s.Suspend(leave)
			return nil
		})
		lists += out
		if err != nil || len(hit) == 0 {
			return lists, err
		}
		reduced := d.reduce(hit, denials)
		for _, r := range reduced {
			if r.Harmless {
				harmless[r.Entry] = true
			}
		}
		var failed bool
		err = d.Exec.Decide(ctx, "deny", func(s *ledger.Ledger) error {
			s.ReplaceReduced(reduced, basis)
			return nil
		})
		for _, r := range reduced {
			d.Dir.Discard(r.Staged)
			switch {
			case r.Published:
				lists++
				d.labels.RenewOmitted(r)
			case r.Out:
				lists++
				failed = failed || !errors.Is(r.Err, digestlist.ErrEmpty)
			}
		}
		if failed {
			d.WantSync("lists could not be changed in place")
		}
		if err != nil {
			return lists, err
		}
	}
}

// reduce makes lists anew from what lies in the directory, without what is
// denied, signed and staged, on all processors.
func (d *Denier) reduce(hit []*view.Entry, denials *policy.Denials) []*grounds.Reduction {
	b := d.Builder.Load()
	all := make([]*grounds.Reduction, len(hit))
	var group sync.WaitGroup
	var next atomic.Int64
	for range min(runtime.GOMAXPROCS(0), len(hit)) {
		w := build.Workspace{Stager: d.Dir.Stager("deny" + strconv.FormatUint(d.Serial.Add(1), 36)), Denials: denials}
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(hit)); i = next.Add(1) - 1 {
				e := hit[i]
				r := &grounds.Reduction{Entry: e, Candidate: view.Candidate{Pkg: e.Package, Header: e.Header, Name: e.Name}}
				r.Err = d.reduceOne(b, r, &w)
				all[i] = r
			}
		})
	}
	group.Wait()
	return all
}

// reduceOne makes the list of r anew in w, or finds that it holds nothing that is denied.
func (d *Denier) reduceOne(b *build.Builder, r *grounds.Reduction, w *build.Workspace) error {
	data, err := d.Dir.Read(r.Entry.Name, nil)
	if err != nil {
		return err
	}
	if record.Digest(sha256.Sum256(data)) != r.Entry.File {
		return fmt.Errorf("its file is not what was published")
	}
	format, _, err := ledger.FormatOf(r.Entry.Name)
	if err != nil {
		return err
	}
	if body, _, _, err := digestlist.SplitSignature(data); err == nil {
		data = body
	}
	w.Body, r.Omitted, err = build.Omit(w.Body[:0], format, data, w.Denials)
	if err != nil {
		return err
	}
	if len(r.Omitted.Paths) == 0 {
		r.Harmless = true
		return nil
	}
	r.Files = r.Entry.Files - len(r.Omitted.Paths)
	if r.Refs, err = executor.MakeRefs(format, w.Body, r.Files); err != nil {
		return err
	}
	r.Refs.Paths = r.Entry.Refs.Paths
	r.Body = w.Digest()
	if err := b.SignList(&r.Candidate, w); err != nil {
		return err
	}
	return b.Stage(&r.Candidate, w)
}
