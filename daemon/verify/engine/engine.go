// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
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
	"github.com/digestd/digestd/daemon/verify"
	"github.com/digestd/digestd/daemon/verify/pace"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/kernel"
)

// The states of an Entry.
const (
	active   = "active"
	withheld = "withheld"
)

const (
	// maxAhead bounds the finished units that wait for an earlier one.
	maxAhead = 1024
	// maxFindings bounds the findings that one unit reports in full.
	maxFindings = 10_000
	// maxTasks bounds the tasks that wait, some of them with an open file.
	maxTasks = 128
	// batch is how many files of a list one task has: passing a task costs as much as reading a
	// small file.
	batch = 32
	// beatTime is the time between two beats.
	beatTime = 200 * time.Millisecond
)

// engine is one run.
type engine struct {
	spec  verify.Spec
	root  *kernel.Root
	index *index
	roles *roles
	links links
	pace  *pace.Pacer
	tasks chan task
	units chan *unit // in the order of their reports
	searched

	files, dirs atomic.Int64
	searching   atomic.Bool
}

// searched is the state of the search for files that no package owns.
type searched struct {
	tops   []string   // the wanted paths
	real   []string   // their real paths, in the order of the search
	found  chan *unit // units to report after those of lists
	quiet  *unit      // the latest directory without a file to verify
	quiets int        // the number of such directories in a row
}

// task verifies one file or several files of a unit, one after the other.
type task struct {
	unit  *unit
	files int
	check func(h *hasher, i int)
}

// unit is a list or a directory that is being verified.
type unit struct {
	verify.Unit
	entry *entry // nil for a directory
	stamp stamp  // stamp of the list's file when it was read
	place int
	tasks int           // tasks that were started
	left  atomic.Int64  // parts that are not finished
	done  chan struct{} // closed when none is left
	mu    sync.Mutex
}

// newUnit makes a unit with one part, which finds the others.
func newUnit(u verify.Unit) *unit {
	n := &unit{Unit: u, done: make(chan struct{})}
	n.left.Store(1)
	return n
}

// finish ends a part.
func (u *unit) finish() {
	if u.left.Add(-1) == 0 {
		close(u.done)
	}
}

func (u *unit) found(f api.Finding) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.Findings) < maxFindings {
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

// run does the work of spec and reports it by tell, one call at a time.
func run(ctx context.Context, spec verify.Spec, pacer *pace.Pacer, tell func(verify.Message) error) error {
	root, err := kernel.OpenRoot(spec.Root)
	if err != nil {
		return err
	}
	defer root.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	e := &engine{spec: spec, root: root, index: newIndex(&spec, root), pace: pacer, links: newLinks(),
		tasks: make(chan task, maxTasks), units: make(chan *unit, maxAhead), searched: searched{found: make(chan *unit, maxAhead)}}
	e.resolve()
	if e.roles, err = readRoles(ctx, spec.Database, e.index, e.selected); err != nil {
		return err
	}
	e.index.load(e.selected)
	if err := e.roles.coverBroken(ctx, spec.Database); err != nil {
		return err
	}
	e.index.sealed()
	if err := tell(verify.Message{Total: &verify.Total{Files: e.index.files}}); err != nil {
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
		for range e.units { // lets the producer finish
		}
	}()
	err = e.look(ctx)
	close(e.tasks)
	hashers.Wait()
	close(e.units)
	<-told
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// look finds the files to verify: those of lists and, at the same time, those that no package
// owns, which are reported after the lists.
func (e *engine) look(ctx context.Context) (err error) {
	searched := make(chan error, 1)
	go func() {
		searched <- e.search(ctx)
		close(e.found)
	}()
	if !e.spec.After.Tree {
		err = e.verifyLists(ctx)
	}
	e.searching.Store(true)
	for u := range e.found {
		if err == nil {
			err = e.begin(ctx, e.units, u)
		}
	}
	return cmp.Or(err, <-searched)
}

// hash processes tasks until there are no more.
func (e *engine) hash(ctx context.Context) {
	h := &hasher{engine: e, ctx: ctx, buf: make([]byte, 256<<10)}
	defer h.leave()
	for t := range e.tasks {
		for i := range t.files {
			if ctx.Err() == nil {
				e.pace.Wait(ctx)
			}
			t.check(h, i)
			e.files.Add(1)
		}
		h.leave()
		t.unit.finish()
	}
}

// begin enters a unit into the order of reports.
func (e *engine) begin(ctx context.Context, to chan *unit, u *unit) error {
	select {
	case to <- u:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// add passes a file of a unit to the hashers.
func (e *engine) add(ctx context.Context, u *unit, check func(*hasher)) error {
	return e.addSome(ctx, u, 1, func(h *hasher, _ int) { check(h) })
}

// addSome passes several files to the hashers, which call check with their indexes.
func (e *engine) addSome(ctx context.Context, u *unit, files int, check func(h *hasher, i int)) error {
	u.tasks++
	u.left.Add(1)
	select {
	case e.tasks <- task{u, files, check}:
		return nil
	case <-ctx.Done():
		u.finish()
		return context.Cause(ctx)
	}
}

// verifyLists verifies the files of all wanted lists.
func (e *engine) verifyLists(ctx context.Context) error {
	var buf []byte
	for place := range e.index.entries {
		entry := &e.index.entries[place]
		if !entry.Wanted || entry.Name <= e.spec.After.List {
			continue
		}
		u := newUnit(verify.Unit{Package: !entry.Own, Cursor: verify.Cursor{List: entry.Name}})
		u.entry, u.place = entry, place
		err := e.begin(ctx, e.units, u)
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
	some := make([]listed, 0, batch)
	hand := func() error {
		mine := some
		some = make([]listed, 0, batch)
		return e.addSome(ctx, u, len(mine), func(h *hasher, i int) { h.listed(mine[i]) })
	}
	err = walkList(u.entry, data, func(algo digestlist.Algo, digest, path []byte) error {
		if len(path) == 0 || !e.selected(string(path)) {
			return nil
		}
		any = true
		f := listed{unit: u, path: string(path), algo: algo, want: string(digest)}
		f.real = e.index.realPath(f.path)
		f.shared = len(e.index.places(e.index.paths, f.real)) > 1
		if some = append(some, f); len(some) == batch {
			return hand()
		}
		return nil
	})
	if len(some) > 0 {
		if herr := hand(); err == nil {
			err = herr
		}
	}
	u.Package = any && !u.entry.Own
	var syntax *digestlist.SyntaxError
	if errors.As(err, &syntax) {
		u.found(api.Finding{Kind: api.FindingList, Severity: api.SeverityError, Package: u.entry.Package, List: u.entry.Name,
			Text: "its list " + u.entry.Name + " cannot be read: " + err.Error()})
		err = nil
	}
	return data, err
}

// selected reports whether a file of a package is among the wanted paths, by the package's name
// for it or by its real path.
func (e *engine) selected(path string) bool {
	if len(e.tops) == 0 {
		return true
	}
	clean, real := filepath.Clean("/"+path), e.index.realPath(path)
	return slices.ContainsFunc(e.tops, func(top string) bool { return below(clean, top) || below(real, top) })
}

// resolve finds the real paths of the wanted paths.
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

// realFile returns the real path of a path that is not a directory.
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
