// SPDX-License-Identifier: Apache-2.0

// Package enforce tells the guard, which refuses contents on kernels without the
// Integrity Digest Cache, what active lists hold. Package guard has the protocol.
package enforce

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
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

// Guard sends the contents of active lists to digestd-guard.
type Guard struct {
	*host.Host
	*Link
	exempt exemptions
}

// guardPatience bounds how long a package manager, or somebody's act, waits for the guard. The
// next comparison sends the rest; see compare.
const guardPatience = 2 * time.Second

// errNoGuard means that the guard was not told of all lists, and is not asked until that
// was made good.
var errNoGuard = errors.New("it was not reached")

// Link sends the contents of active lists to digestd-guard. Use it only within turns.
type Link struct {
	Way
	client *protocol.Client // nil: not connected
	Agreed bool             // the guard holds what the directory does
	// doubt: what the guard agreed with last is not what the directory holds.
	doubt   bool
	Held    map[string]bool // the lists that it counts, by name
	left    error           // why it does not count some; nil if it counts all
	Counter interface{ Commits() uint64 }

	committed chan struct{} // the guard agrees with another commit; see KeepSnapshot
	saved     kept          // the latest snapshot; of KeepSnapshot alone
	is        protocol.Status

	known
}

// Way is how the guard is reached.
type Way struct {
	Socket   string
	Dial     func(context.Context) (*protocol.Client, error) // nil: to Socket
	Patience time.Duration                                   // 0: guardPatience
}

// patience bounds how long an exchange with the guard may take.
func (w *Way) patience() time.Duration { return cmp.Or(w.Patience, guardPatience) }

// known is what was found out about lists.
type known struct {
	largest  uint64                          // of the files of lists, as the guard was told
	keepers  map[string][]guard.Digest       // programs that touch the guard while it is sealed, by their lists
	sums     map[record.Digest]contents.Sums // of lists that know contents by another digest than SHA-256, by their bodies
	missing  map[string]bool                 // lists that have contents of which that is not known, by name
	Learning chan struct{}                   // there may be such lists
}

// New returns a Guard that uses the guard at a socket. counter returns the number of the
// latest commit of the index.
func New(h *host.Host, socket string, counter interface{ Commits() uint64 }) *Guard {
	return &Guard{Host: h, exempt: exemptions{wanted: make(chan struct{}, 1)}, Link: &Link{
		Way: Way{Socket: socket}, Counter: counter, committed: make(chan struct{}, 1),
		known: known{keepers: map[string][]guard.Digest{}, sums: map[record.Digest]contents.Sums{}, missing: map[string]bool{}, Learning: make(chan struct{}, 1)},
	}}
}

// Remember loads what the index keeps: the SHA-256 digests of contents (see contents.Key),
// and the containers that the guard exempts because of policies.
func (g *Guard) Remember(kept map[string][]byte) {
	g.sums = contents.Load(kept)
	g.exempt.remember(kept[metaExempt])
}

// Admit lets the contents of a list run. If the list replaces one with the content old,
// Admit withdraws the contents of that one.
func (g *Link) Admit(list executor.List, old []byte) error {
	return g.tell(func(ctx context.Context, c *protocol.Client) error {
		known, err := g.knownOf(list)
		if err == nil {
			err = g.grow(ctx, list.Largest)
		}
		if err == nil {
			err = c.Admit(ctx, known.Digests)
		}
		if err == nil {
			err = g.keep(ctx, list.Name, known.Keepers)
		}
		if err == nil && old != nil && g.Held[list.Name] {
			if known, err = g.knownOf(executor.List{Name: list.Name, Content: old}); err == nil {
				err = c.Expel(ctx, known.Digests)
			}
		}
		g.Held[list.Name] = true
		return err
	})
}

// Expel withdraws the contents of lists. A content that another list has can still run.
func (g *Link) Expel(lists []executor.List) error {
	return g.tell(func(ctx context.Context, c *protocol.Client) error {
		var all []guard.Digest
		for _, list := range lists {
			if !g.Held[list.Name] {
				continue
			}
			delete(g.Held, list.Name)
			known, err := g.knownOf(list)
			if err != nil {
				return err
			}
			all = append(all, known.Digests...)
		}
		if len(all) == 0 {
			return nil
		}
		err := c.Expel(ctx, all)
		for _, list := range lists {
			if err == nil {
				err = g.keep(ctx, list.Name, nil)
			}
		}
		return err
	})
}

// grow has the guard hash files as large as those of a list.
func (g *Link) grow(ctx context.Context, largest uint64) error {
	if largest = cmp.Or(largest, contents.MaxSize); largest <= g.largest {
		return nil
	}
	g.largest = largest
	return g.client.SetLargest(ctx, largest)
}

// keep tells the guard which programs of a list touch it while it is sealed.
func (g *Link) keep(ctx context.Context, list string, keepers []guard.Digest) error {
	if slices.Equal(g.keepers[list], keepers) {
		return nil
	}
	if g.keepers[list] = keepers; len(keepers) == 0 {
		delete(g.keepers, list)
	}
	return g.client.SetKeepers(ctx, slices.Concat(slices.Collect(maps.Values(g.keepers))...))
}

// Committed sends the number of the latest commit of the index to the guard, whose digests
// agree with it.
func (g *Link) Committed() error {
	if !g.Agreed {
		return nil
	}
	err := g.tell(func(ctx context.Context, c *protocol.Client) error { return c.SetCommit(ctx, g.Counter.Commits()) })
	executor.Wake(g.committed)
	return err
}

// Doubt ends the connection; the next connection begins with a comparison of all lists.
func (g *Link) Doubt() { g.drop() }

// tell calls the guard. If that fails nobody knows what it holds, until all was compared.
func (g *Link) tell(fn func(context.Context, *protocol.Client) error) error {
	if !g.Agreed {
		g.doubt = true
		return errNoGuard
	}
	ctx, cancel := context.WithTimeout(context.Background(), g.patience())
	defer cancel()
	err := fn(ctx, g.client)
	if err != nil {
		g.drop()
	}
	return err
}

func (g *Link) drop() {
	g.Agreed, g.doubt = false, true
	g.Close()
}

func (g *Link) Close() {
	if g.client != nil {
		g.client.Close()
		g.client = nil
	}
}

// Compare connects to the guard and sends it all active lists, unless there was no doubt and
// the guard agrees with the latest commit of the index. If a list cannot be read, the error
// names it, and the guard gets the others.
func (g *Link) Compare(active []*view.Entry, doubt bool, read func(name string) ([]byte, error)) (err error) {
	if g.Agreed {
		return g.left
	}
	ctx, cancel := context.WithTimeout(context.Background(), g.patience())
	defer cancel()
	g.Close()
	if g.Dial != nil {
		g.client, err = g.Dial(ctx)
	} else {
		g.client, err = protocol.Dial(ctx, g.Socket)
	}
	if err != nil {
		return err
	}
	commit := g.Counter.Commits()
	status, err := g.client.Status(ctx)
	g.Held, g.left = make(map[string]bool, len(active)), nil
	if err == nil {
		g.largest = 0
		err = g.grow(ctx, largestOf(active))
	}
	if err == nil && (g.doubt || doubt || status.Commit == 0 || status.Commit != commit) {
		clear(g.keepers)
		err = g.replace(commit, g.count(active, read))
	} else {
		for _, e := range active {
			g.Held[e.Name] = true
		}
	}
	if err != nil {
		g.Close()
		return err
	}
	g.Agreed, g.doubt, g.is = true, false, status
	executor.Wake(g.committed)
	return g.left
}

// count counts how many of these lists have each digest.
func (g *Link) count(active []*view.Entry, read func(name string) ([]byte, error)) map[guard.Digest]uint32 {
	all := map[guard.Digest]uint32{}
	for _, e := range active {
		content, err := read(e.Name)
		var known contents.Known
		if err == nil {
			known, err = g.knownOf(executor.List{Name: e.Name, Content: content})
		}
		if err != nil {
			g.left = errors.Join(g.left, err)
			continue
		}
		g.Held[e.Name] = true
		for _, digest := range known.Digests {
			all[digest]++
		}
		if len(known.Keepers) > 0 {
			g.keepers[e.Name] = known.Keepers
		}
	}
	return all
}

// replace tells of all lists at once, which takes longer than of one. A package manager
// that waits for its turn meanwhile gives up after 10 s.
func (g *Link) replace(commit uint64, all map[guard.Digest]uint32) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*g.patience())
	defer cancel()
	if keepers := slices.Concat(slices.Collect(maps.Values(g.keepers))...); len(keepers) > 0 {
		if err := g.client.SetKeepers(ctx, keepers); err != nil {
			return err
		}
	}
	return g.client.Replace(ctx, max(commit, 1), len(all), maps.All(all))
}

// largestOf returns the size of the largest file that a list has. If the size of a list's files
// is unknown, it assumes the largest file that digestd would hash.
func largestOf(active []*view.Entry) uint64 {
	largest := uint64(1)
	for _, e := range active {
		largest = max(largest, cmp.Or(e.Largest, contents.MaxSize))
	}
	return largest
}

// knownOf returns what the guard is to know of a list. Contents are left out of which no
// SHA-256 is known: the list is noted for learnAll.
func (g *Link) knownOf(list executor.List) (contents.Known, error) {
	known, err := contents.Of(list.Name, list.Content, g.sums)
	if err != nil {
		return known, fmt.Errorf("cannot read list %s for the guard: %w", list.Name, err)
	}
	if known.Missing > 0 {
		g.missing[list.Name] = true
		executor.Wake(g.Learning)
	}
	return known, nil
}

// Active are the lists that are in the directory as they were published. Doubtful: there are
// others, or digestd may have died after it recorded a change of one and before it told the
// guard of that.
func (g *Guard) Active() (active []*view.Entry, doubtful bool) {
	for _, e := range g.Exec.State.Sorted() {
		if !e.Active() {
			continue
		}
		doubtful = doubtful || e.Broken || e.Change != ""
		if !e.Broken {
			active = append(active, e)
		}
	}
	return active, doubtful
}

// there leaves out lists that are not in the directory: they are about to come, or gone.
func (g *Guard) there(active []*view.Entry) []*view.Entry {
	names, err := g.Dir.Names()
	if err != nil {
		return active // reading them fails as well
	}
	known := make(map[string]bool, len(names))
	for _, name := range names {
		known[name] = true
	}
	return slices.DeleteFunc(active, func(e *view.Entry) bool { return !known[e.Name] })
}

// Agree tells the guard of all lists if it was not told of some, and reports
// whether it knows them.
func (g *Guard) Agree(ctx context.Context) bool {
	if g == nil {
		return true
	}
	err := g.Exec.Do(ctx, func() error {
		active, doubtful := g.Active()
		if !g.Agreed {
			// digestd may have died after it removed a list and before it told the guard.
			all := len(active)
			active = g.there(active)
			doubtful = doubtful || len(active) < all
		}
		// A transaction that was cut short may have told the guard of lists that the
		// index does not know.
		err := g.Compare(active, doubtful || g.Exec.State.Unsettled, func(name string) ([]byte, error) { return g.Dir.Read(name, nil) })
		g.Exec.Step("note", false, func(s *ledger.Ledger) error {
			if g.Agreed {
				tellOf(s, g.is)
			}
			if err == nil {
				s.Solved("guard")
			} else {
				s.Problem("guard", api.SeverityError, "digestd could not send all lists to the guard: "+err.Error(),
					"see systemctl status digestd-guard; digestd retries automatically, or retry now: digestctl sync")
			}
			s.Show()
			return nil
		})
		if len(g.missing) > 0 {
			executor.Wake(g.Learning)
		}
		return err
	})
	if err != nil {
		select {
		case g.Chores <- struct{}{}:
		default:
		}
	}
	return err == nil
}
