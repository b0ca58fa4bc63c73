// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/kernel"
)

// The states of an Entry.
const (
	active   = "active"
	withheld = "withheld"
)

const (
	// maxAhead bounds the units that wait for one before them.
	maxAhead = 1024
	// maxTasks bounds the files that wait to be hashed, some of them open.
	maxTasks = 128
	// beatTime is the time between two beats.
	beatTime = 200 * time.Millisecond
)

// engine is one run.
type engine struct {
	spec  Spec
	root  *kernel.Root
	index *index
	roles *roles
	links links
	pace  *pacer
	tops  []string // the paths that are wanted, and where they really lie
	real  []string // the latter, in the order of the search
	tasks chan task
	units chan *unit // in order

	files, dirs atomic.Int64
	searching   atomic.Bool
}

// task looks at one file, for a unit.
type task struct {
	unit  *unit
	check func(h *hasher)
}

// unit is a list or a directory that is being looked at.
type unit struct {
	Unit
	entry *Entry // nil for a directory
	stamp stamp  // of the entry's file when it was read
	place int
	left  atomic.Int64  // parts that are not done
	done  chan struct{} // closed when none is left
	mu    sync.Mutex
}

// newUnit makes a unit with one part: finding out what the others are.
func newUnit(u Unit) *unit {
	n := &unit{Unit: u, done: make(chan struct{})}
	n.left.Store(1)
	return n
}

// finish is called when a part is done.
func (u *unit) finish() {
	if u.left.Add(-1) == 0 {
		close(u.done)
	}
}

func (u *unit) found(f api.Finding) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.Findings) < maxUnitFindings {
		u.Findings = append(u.Findings, f)
		return
	}
	u.Dropped.Count(f)
	u.Dropped.Dropped++
}

func (u *unit) count(n *int) {
	u.mu.Lock()
	*n++
	u.mu.Unlock()
}

// verify does what spec says and tells of it. Calls of tell come one at a time.
func verify(ctx context.Context, spec Spec, pace *pacer, tell func(Message) error) error {
	root, err := kernel.OpenRoot(spec.Root)
	if err != nil {
		return err
	}
	defer root.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	e := &engine{spec: spec, root: root, index: newIndex(&spec, root), pace: pace, links: newLinks(),
		tasks: make(chan task, maxTasks), units: make(chan *unit, maxAhead)}
	e.resolve()
	e.index.load(e.selected)
	if e.roles, err = readRoles(ctx, spec.Database, e.index, e.selected); err != nil {
		return err
	}
	e.index.sealed()
	if err := tell(Message{Total: &Total{Files: e.index.files}}); err != nil {
		return err
	}
	var hashers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		hashers.Go(func() { e.hash(ctx) })
	}
	told := make(chan struct{})
	go func() {
		defer close(told)
		if err := e.report(ctx, tell); err != nil {
			cancel(err)
		}
		for range e.units { // let who fills it come to its end
		}
	}()
	if !spec.After.Tree {
		err = e.verifyLists(ctx)
	}
	if err == nil {
		err = e.search(ctx)
	}
	close(e.tasks)
	hashers.Wait()
	close(e.units)
	<-told
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// hash looks at files until there are no more.
func (e *engine) hash(ctx context.Context) {
	h := &hasher{engine: e, ctx: ctx, buf: make([]byte, 256<<10)}
	for t := range e.tasks {
		if ctx.Err() == nil {
			e.pace.wait(ctx)
		}
		t.check(h)
		e.files.Add(1)
		t.unit.finish()
	}
}

// report tells of units in their order, and beats in between.
func (e *engine) report(ctx context.Context, tell func(Message) error) error {
	ticker := time.NewTicker(beatTime)
	defer ticker.Stop()
	for u := range e.units {
		for waiting := true; waiting; {
			select {
			case <-u.done:
				waiting = false
			case <-ticker.C:
				beat := &Beat{Searching: e.searching.Load(), Files: int(e.files.Load()), Dirs: int(e.dirs.Load())}
				if err := tell(Message{Beat: beat}); err != nil {
					return err
				}
			}
		}
		if ctx.Err() != nil {
			return nil // parts of it were passed over
		}
		e.settle(u)
		if err := tell(Message{Unit: &u.Unit}); err != nil {
			return err
		}
	}
	return nil
}

// settle takes back what was found of a list that left meanwhile: a package
// transaction overtook us.
func (e *engine) settle(u *unit) {
	if u.entry == nil || u.entry.State != active || u.stamp == (stamp{}) {
		return
	}
	if len(u.Findings)+u.Dropped.Dropped > 0 && !e.index.unchanged(*u.entry, u.stamp) {
		u.Findings, u.Dropped, u.Moved = nil, api.Verification{}, true
	}
}

// begin announces a unit; what it is made of follows.
func (e *engine) begin(ctx context.Context, u *unit) error {
	select {
	case e.units <- u:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// add hands a file of a unit to the hashers.
func (e *engine) add(ctx context.Context, u *unit, check func(*hasher)) error {
	u.left.Add(1)
	select {
	case e.tasks <- task{u, check}:
		return nil
	case <-ctx.Done():
		u.finish()
		return context.Cause(ctx)
	}
}

// verifyLists looks at the files of all lists that are wanted.
func (e *engine) verifyLists(ctx context.Context) error {
	var buf []byte
	for place := range e.spec.Entries {
		entry := &e.spec.Entries[place]
		if !entry.Wanted || entry.Name <= e.spec.After.List {
			continue
		}
		u := newUnit(Unit{Package: true, Cursor: Cursor{List: entry.Name}})
		u.entry, u.place = entry, place
		err := e.begin(ctx, u)
		if err == nil {
			buf, err = e.verifyList(ctx, u, buf)
		}
		u.finish()
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *engine) verifyList(ctx context.Context, u *unit, buf []byte) ([]byte, error) {
	if u.entry.State != active {
		if n := e.roles.regular[u.place]; n > 0 {
			u.found(api.Finding{Kind: api.FindingWithheld, Severity: api.SeverityError, Package: u.entry.Package, List: u.entry.Name,
				Text: "is not vouched for (" + files(n) + "): " + u.entry.Text})
		}
		return buf, nil
	}
	data, stamp, err := e.index.read(*u.entry, buf)
	if err != nil {
		u.found(api.Finding{Kind: api.FindingList, Severity: api.SeverityError, Package: u.entry.Package, List: u.entry.Name,
			Text: "its list " + u.entry.Name + " " + err.Error()})
		return buf, nil
	}
	u.stamp = stamp
	any := false
	err = walkList(u.entry.Name, data, func(algo digestlist.Algo, digest, path []byte) error {
		if len(path) == 0 || !e.selected(string(path)) {
			return nil
		}
		any = true
		f := listed{unit: u, path: string(path), algo: algo, want: string(digest)}
		f.real = e.index.realPath(f.path)
		f.shared = len(e.index.places(e.index.paths, f.real)) > 1
		return e.add(ctx, u, func(h *hasher) { h.listed(f) })
	})
	u.Package = any
	var syntax *digestlist.SyntaxError
	if errors.As(err, &syntax) {
		u.found(api.Finding{Kind: api.FindingList, Severity: api.SeverityError, Package: u.entry.Package, List: u.entry.Name,
			Text: "its list " + u.entry.Name + " cannot be read: " + err.Error()})
		err = nil
	}
	return data, err
}

// selected reports whether a file of a package is among the paths that are
// wanted, as the package names it or as it really lies.
func (e *engine) selected(path string) bool {
	if len(e.tops) == 0 {
		return true
	}
	clean, real := filepath.Clean("/"+path), e.index.realPath(path)
	return slices.ContainsFunc(e.tops, func(top string) bool { return below(clean, top) || below(real, top) })
}

// resolve finds out where the paths really lie that are wanted.
func (e *engine) resolve() {
	for _, p := range e.spec.Paths {
		path := filepath.Clean("/" + string(p))
		real, err := e.root.RealDir(path)
		if err != nil {
			real = e.realFile(path)
		}
		e.real = append(e.real, real)
		e.tops = append(e.tops, path, real)
	}
	slices.SortFunc(e.real, compareDirs)
}

// realFile is where a path leads that is no directory's.
func (e *engine) realFile(path string) string {
	if file, err := e.root.Find(path, true); err == nil {
		defer file.Close()
		if out, err := file.Path(); err == nil {
			if real, err := e.root.Inside(out); err == nil {
				return real
			}
		}
	}
	return e.index.realPath(path)
}

func below(path, top string) bool {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(top, "/"))
	return ok && (rest == "" || rest[0] == '/')
}
