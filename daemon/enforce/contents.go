// SPDX-License-Identifier: Apache-2.0

package enforce

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/executor"
	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/contents"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/kernel/guard"
	"github.com/digestd/digestd/store/record"
)

// Run computes the SHA-256 of the files whose lists have other digests, for the guard. It
// reads files outside of turns, when no transaction is open: the files of a package exist
// then.
func (g *Guard) Run(ctx context.Context) error {
	if g == nil {
		return nil
	}
	// The index does not record which lists lack some.
	g.Exec.Do(ctx, func() error {
		for _, e := range g.Exec.State.Sorted() {
			g.missing[e.Name] = true
		}
		return nil
	})
	learner := contents.NewLearner(g.Root)
	var again <-chan time.Time
	rest := time.Duration(0)
	for first := true; ; first = false {
		if !first {
			select {
			case <-ctx.Done():
				return nil
			case <-g.Learning:
			case <-again:
			}
		}
		for g.Snapshot().Open > 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(100 * time.Millisecond):
			}
		}
		again = nil
		if g.learnAll(ctx, learner) {
			rest = 0
			continue
		}
		rest = min(max(2*rest, host.FirstChore), host.LastChore)
		again = time.After(rest)
	}
}

// learnAll looks at all lists that have contents of which no SHA-256 is known, and
// reports whether all of their files could be read.
func (g *Guard) learnAll(ctx context.Context, learner *contents.Learner) bool {
	var names []string
	g.Exec.Do(ctx, func() error {
		for name := range g.missing {
			names = append(names, name)
		}
		return nil
	})
	slices.Sort(names)
	var failed error // of the first
	left := 0
	for _, name := range names {
		if ctx.Err() != nil {
			return true
		}
		if err := g.learnOf(ctx, learner, name); err != nil {
			failed = cmp.Or(failed, err)
			left++
		}
	}
	g.Exec.Enter(context.Background(), "note", func(s *ledger.Ledger) error {
		had := len(s.Problems)
		if left == 0 {
			s.Solved("guard-contents")
		} else {
			s.Problem("guard-contents", api.SeverityWarning, fmt.Sprintf("the guard does not allow files of %s, which have another digest than SHA-256: ", view.Plural(left, "list"))+api.Clean(failed.Error()),
				"make the files readable; digestd retries automatically, or retry now: digestctl sync")
		}
		if left > 0 || len(s.Problems) != had {
			s.Show()
		}
		return nil
	})
	return left == 0
}

// learnOf looks at one list.
func (g *Guard) learnOf(ctx context.Context, learner *contents.Learner, name string) error {
	e := g.Snapshot().List(name)
	if e == nil || !e.Active() || e.Broken {
		return g.Exec.Do(ctx, func() error {
			delete(g.missing, name)
			return nil
		})
	}
	list, err := g.Dir.Read(name, nil)
	if err != nil {
		return err
	}
	var known contents.Sums
	err = g.Exec.Do(ctx, func() error {
		known = g.sums[contents.BodyOf(list)]
		return nil
	})
	if err != nil {
		return err
	}
	r, err := learner.Learn(ctx, name, list, e.Moved, known)
	if err != nil {
		return fmt.Errorf("cannot read list %s for the guard: %w", name, err)
	}
	if r.New > 0 || r.Failed > 0 {
		g.Logger.Info("contents hashed for the guard: the list has another digest than SHA-256", "list", name, "contents", r.Others,
			"known", r.Known, "new", r.New, "absent or altered", r.Absent, "not read", r.Failed)
	}
	return cmp.Or(g.know(ctx, name, list, r), r.Err)
}

// know enters what became known, and has the guard admit it.
func (g *Guard) know(ctx context.Context, name string, list []byte, r contents.Learned) error {
	return g.Exec.Do(ctx, func() error {
		if r.Known == r.Others {
			delete(g.missing, name)
		}
		if r.New == 0 {
			return nil
		}
		// The list may have gone meanwhile, and several may have one body.
		var holders []executor.List
		keep := map[string]bool{}
		for _, e := range g.Exec.State.Sorted() {
			if !e.Active() || e.Broken {
				continue
			}
			keep[contents.Key(e.Body)] = true
			if e.Body == r.Body {
				holders = append(holders, executor.List{Name: e.Name, Content: list, Largest: e.Largest})
			}
		}
		if len(holders) == 0 {
			return nil
		}
		err := g.learn(r, holders)
		_, rerr := g.Exec.Step("contents", false, func(s *ledger.Ledger) error {
			for body := range g.sums {
				if key := contents.Key(body); !keep[key] {
					delete(g.sums, body)
					s.Queue.Batch.SetMeta(key, nil)
				}
			}
			s.Queue.Batch.SetMeta(contents.Key(r.Body), r.Sums)
			s.Record()
			return nil
		})
		return cmp.Or(err, rerr)
	})
}

// learn has the guard admit what became known of lists with one body.
func (g *Link) learn(r contents.Learned, holders []executor.List) error {
	for _, list := range holders {
		before, err := contents.Of(list.Name, list.Content, g.sums)
		if err != nil {
			return err
		}
		after, err := contents.Of(list.Name, list.Content, map[record.Digest]contents.Sums{r.Body: r.Sums})
		if err != nil {
			return err
		}
		added := slices.DeleteFunc(after.Digests, func(d guard.Digest) bool {
			_, known := slices.BinarySearchFunc(before.Digests, d, contents.Compare)
			return known
		})
		if !g.Agreed || !g.Held[list.Name] || len(added) == 0 {
			continue // it is told of with all else
		}
		err = g.tell(func(ctx context.Context, c *protocol.Client) error {
			if err := g.grow(ctx, list.Largest); err != nil {
				return err
			}
			return c.Admit(ctx, added)
		})
		if err != nil {
			// Its contents are unknown: all lists are compared.
			g.sums[r.Body] = r.Sums
			return err
		}
	}
	g.sums[r.Body] = r.Sums
	return nil
}
