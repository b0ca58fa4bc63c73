// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/digestd/digestd/daemon/api"
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

// guardLink tells digestd-guard what active lists hold. It is used within
// turns alone.
type guardLink struct {
	socket string
	client *protocol.Client // nil: not connected
	agreed bool             // the guard holds what the directory does
	index  interface{ Commits() uint64 }
}

// Admit lets run what a list has.
func (g *guardLink) Admit(list []byte) error {
	digests, err := digestsOf(list)
	return g.tell(err, func(ctx context.Context, c *protocol.Client) error { return c.Admit(ctx, digests) })
}

// Expel keeps from running what no other list has.
func (g *guardLink) Expel(lists [][]byte) error {
	var all []guard.Digest
	var failed error
	for _, list := range lists {
		digests, err := digestsOf(list)
		all, failed = append(all, digests...), errors.Join(failed, err)
	}
	return g.tell(failed, func(ctx context.Context, c *protocol.Client) error { return c.Expel(ctx, all) })
}

// Committed says that the index has what the guard was told.
func (g *guardLink) Committed() error {
	if !g.agreed {
		return nil
	}
	return g.tell(nil, func(ctx context.Context, c *protocol.Client) error { return c.SetCommit(ctx, g.index.Commits()) })
}

// tell calls the guard. If that fails nobody knows what it holds, until all was compared.
func (g *guardLink) tell(err error, fn func(context.Context, *protocol.Client) error) error {
	if !g.agreed {
		return errNoGuard
	}
	ctx, cancel := context.WithTimeout(context.Background(), guardPatience)
	defer cancel()
	if err == nil {
		err = fn(ctx, g.client)
	}
	if err != nil {
		g.drop()
	}
	return err
}

func (g *guardLink) drop() {
	g.agreed = false
	if g.client != nil {
		g.client.Close()
		g.client = nil
	}
}

// compare makes the guard hold what these lists do, unless it says that it agrees with
// the last commit of the index.
func (g *guardLink) compare(lists func() (map[guard.Digest]uint32, error)) (err error) {
	if g.agreed {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), guardPatience)
	defer cancel()
	g.drop()
	if g.client, err = protocol.Dial(ctx, g.socket); err != nil {
		return err
	}
	commit := g.index.Commits()
	status, err := g.client.Status(ctx)
	if err == nil && (status.Commit == 0 || status.Commit != commit) {
		var all map[guard.Digest]uint32
		if all, err = lists(); err == nil {
			err = g.replace(commit, all)
		}
	}
	if err != nil {
		g.drop()
		return err
	}
	g.agreed = true
	return nil
}

// replace may take longer than other calls: digestd is not waited for meanwhile by more
// than one who brings an event.
func (g *guardLink) replace(commit uint64, all map[guard.Digest]uint32) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*guardPatience)
	defer cancel()
	return g.client.Replace(ctx, max(commit, 1), len(all), iter.Seq2[guard.Digest, uint32](maps.All(all)))
}

// digestsOf returns what the guard knows contents by, of a list as it lies in the
// directory, each once. Contents that the list knows by another algorithm are left out.
func digestsOf(list []byte) (digests []guard.Digest, err error) {
	body := list
	if b, _, _, err := digestlist.SplitSignature(list); err == nil {
		body = b
	}
	take := func(algo digestlist.Algo, digest, _ []byte) error {
		if algo == digestlist.SHA256 {
			digests = append(digests, guard.Digest(digest))
		}
		return nil
	}
	if err = digestlist.Walk(digestlist.FormatTLV, body, take); err != nil {
		digests = nil
		if rerr := digestlist.Walk(digestlist.FormatRPM, body, take); rerr != nil {
			return nil, fmt.Errorf("cannot read a list for the guard: %w", err)
		}
	}
	slices.SortFunc(digests, func(a, b guard.Digest) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(digests), nil
}

// activeDigests counts how many active lists have each digest.
func (d *Daemon) activeDigests() (map[guard.Digest]uint32, error) {
	all := map[guard.Digest]uint32{}
	var failed error
	for _, e := range d.exec.State.Sorted() {
		if !e.Active() || e.Broken {
			continue
		}
		digests, err := d.digestsIn(e)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		for _, digest := range digests {
			all[digest]++
		}
	}
	return all, failed
}

func (d *Daemon) digestsIn(e *view.Entry) ([]guard.Digest, error) {
	list, err := d.dir.Read(e.Name, nil)
	if err != nil {
		return nil, err
	}
	return digestsOf(list)
}

// agreeWithGuard tells the guard of all lists if it was not told of some, and reports
// whether it knows them.
func (d *Daemon) agreeWithGuard(ctx context.Context) bool {
	if d.guard == nil {
		return true
	}
	err := d.exec.Do(ctx, func() error {
		err := d.guard.compare(d.activeDigests)
		d.exec.Step("note", false, func(s *ledger.Ledger) error {
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
		case d.chores <- struct{}{}:
		default:
		}
	}
	return err == nil
}
