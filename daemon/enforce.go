// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/executor"
	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/kernel/guard"
)

// guardPatience bounds how long a package manager, or somebody's act, waits for the
// guard. What it was not told then is told with all else; see compare.
const guardPatience = 2 * time.Second

// errNoGuard means that the guard was not told of all lists, and is not asked until that
// was made good.
var errNoGuard = errors.New("it was not reached")

// guardLink tells digestd-guard what active lists hold. It is used within turns alone.
type guardLink struct {
	socket string
	client *protocol.Client // nil: not connected
	agreed bool             // the guard holds what the directory does
	// doubt: what the guard agreed with last is not what the directory holds.
	doubt bool
	held  map[string]bool // the lists that it counts, by name
	left  error           // why it does not count some; nil if it counts all
	index interface{ Commits() uint64 }
}

// Admit lets run what a list has.
func (g *guardLink) Admit(list executor.List, old []byte) error {
	return g.tell(func(ctx context.Context, c *protocol.Client) error {
		digests, err := digestsOf(list)
		if err == nil {
			err = c.Admit(ctx, digests)
		}
		if err == nil && old != nil && g.held[list.Name] {
			if digests, err = digestsOf(executor.List{Name: list.Name, Content: old}); err == nil {
				err = c.Expel(ctx, digests)
			}
		}
		g.held[list.Name] = true
		return err
	})
}

// Expel keeps from running what no other list has.
func (g *guardLink) Expel(lists []executor.List) error {
	return g.tell(func(ctx context.Context, c *protocol.Client) error {
		var all []guard.Digest
		for _, list := range lists {
			if !g.held[list.Name] {
				continue
			}
			delete(g.held, list.Name)
			digests, err := digestsOf(list)
			if err != nil {
				return err
			}
			all = append(all, digests...)
		}
		if len(all) == 0 {
			return nil
		}
		return c.Expel(ctx, all)
	})
}

// Committed says that the index has what the guard was told.
func (g *guardLink) Committed() error {
	if !g.agreed {
		return nil
	}
	return g.tell(func(ctx context.Context, c *protocol.Client) error { return c.SetCommit(ctx, g.index.Commits()) })
}

// Doubt has all lists compared before the guard is told of another.
func (g *guardLink) Doubt() { g.drop() }

// tell calls the guard. If that fails nobody knows what it holds, until all was compared.
func (g *guardLink) tell(fn func(context.Context, *protocol.Client) error) error {
	if !g.agreed {
		g.doubt = true
		return errNoGuard
	}
	ctx, cancel := context.WithTimeout(context.Background(), guardPatience)
	defer cancel()
	err := fn(ctx, g.client)
	if err != nil {
		g.drop()
	}
	return err
}

func (g *guardLink) drop() {
	g.agreed, g.doubt = false, true
	g.close()
}

func (g *guardLink) close() {
	if g.client != nil {
		g.client.Close()
		g.client = nil
	}
}

// compare makes the guard hold what active lists do, unless it says that it agrees with
// the last commit of the index and nothing speaks against that.
// A list that cannot be read is not counted, and named by the error; the others are.
func (g *guardLink) compare(active []*view.Entry, doubt bool, read func(name string) ([]byte, error)) (err error) {
	if g.agreed {
		return g.left
	}
	ctx, cancel := context.WithTimeout(context.Background(), guardPatience)
	defer cancel()
	g.close()
	if g.client, err = protocol.Dial(ctx, g.socket); err != nil {
		return err
	}
	commit := g.index.Commits()
	status, err := g.client.Status(ctx)
	g.held, g.left = make(map[string]bool, len(active)), nil
	if err == nil && (g.doubt || doubt || status.Commit == 0 || status.Commit != commit) {
		err = g.replace(commit, g.count(active, read))
	} else {
		for _, e := range active {
			g.held[e.Name] = true
		}
	}
	if err != nil {
		g.close()
		return err
	}
	g.agreed, g.doubt = true, false
	return g.left
}

// count counts how many of these lists have each digest.
func (g *guardLink) count(active []*view.Entry, read func(name string) ([]byte, error)) map[guard.Digest]uint32 {
	all := map[guard.Digest]uint32{}
	for _, e := range active {
		content, err := read(e.Name)
		var digests []guard.Digest
		if err == nil {
			digests, err = digestsOf(executor.List{Name: e.Name, Content: content})
		}
		if err != nil {
			g.left = errors.Join(g.left, err)
			continue
		}
		g.held[e.Name] = true
		for _, digest := range digests {
			all[digest]++
		}
	}
	return all
}

// replace tells of all lists at once, which takes longer than of one. A package manager
// that waits for its turn meanwhile gives up after 10 s.
func (g *guardLink) replace(commit uint64, all map[guard.Digest]uint32) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*guardPatience)
	defer cancel()
	return g.client.Replace(ctx, max(commit, 1), len(all), maps.All(all))
}

// digestsOf returns what the guard knows contents by, of a list, each once. Contents that
// the list knows by another algorithm are left out.
func digestsOf(list executor.List) (digests []guard.Digest, err error) {
	err = walkList(list.Name, list.Content, func(algo digestlist.Algo, digest, _ []byte) error {
		if algo == digestlist.SHA256 {
			digests = append(digests, guard.Digest(digest))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read list %s for the guard: %w", list.Name, err)
	}
	slices.SortFunc(digests, func(a, b guard.Digest) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(digests), nil
}

// enforced are the lists that are in the directory as they were published.
func (g *Guard) enforced() (active []*view.Entry, broken bool) {
	for _, e := range g.exec.State.Sorted() {
		switch {
		case !e.Active():
		case e.Broken:
			broken = true
		default:
			active = append(active, e)
		}
	}
	return active, broken
}

// agreeWithGuard tells the guard of all lists if it was not told of some, and reports
// whether it knows them.
func (g *Guard) agreeWithGuard(ctx context.Context) bool {
	if g == nil {
		return true
	}
	err := g.exec.Do(ctx, func() error {
		active, broken := g.enforced()
		// A transaction that was cut short may have told the guard of lists that the
		// index does not know.
		err := g.compare(active, broken || g.exec.State.Unsettled, func(name string) ([]byte, error) { return g.dir.Read(name, nil) })
		g.exec.Step("note", false, func(s *ledger.Ledger) error {
			if err == nil {
				s.Solved("guard")
			} else {
				s.Problem("guard", api.SeverityError, "the guard was not told of all lists: "+err.Error(),
					"see systemctl status digestd-guard: digestd tries again by itself; or at once: digestctl sync")
			}
			s.Show()
			return nil
		})
		return err
	})
	if err != nil {
		select {
		case g.chores <- struct{}{}:
		default:
		}
	}
	return err == nil
}
