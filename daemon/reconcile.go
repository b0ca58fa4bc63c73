// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/rpmdb"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store"
)

// errOvertaken means that a transaction began while rpm's database was read:
// what was read may be about to change.
var errOvertaken = errors.New("a package transaction is in flight")

// progress hears how far a reconciliation is. Calls come from one goroutine at
// a time, at most some hundred a second.
type progress func(stage string, done, total int)

// installedPackage is one package of rpm's database, as reconciliation saw it.
type installedPackage struct {
	pkg    nevra.NEVRA
	header store.Digest
	fresh  *candidate // nil when its list stands already
	err    error
}

// reconcile makes the directory equal to what rpm's database and the index
// allow. It reads without holding up anybody and changes everything in one
// step, unless a transaction came in between.
func (d *Daemon) reconcile(ctx context.Context, report progress) (api.SyncResult, error) {
	started := time.Now()
	if err := d.dir.CheckPath(); err != nil {
		return api.SyncResult{}, err
	}
	if err := d.refreshKeys(ctx, true); err != nil {
		return api.SyncResult{}, err
	}
	var (
		generation uint64
		busy       bool
		standing   map[store.Digest]*entry
	)
	err := d.onState(ctx, func(s *state) error {
		busy, generation = len(s.open) > 0, s.generation
		if busy {
			return nil
		}
		report("checking lists", 0, 0)
		if err := s.inspect(); err != nil {
			return err
		}
		standing = s.standing(d.maker.Load().signer())
		return nil
	})
	if busy {
		err = errOvertaken
	}
	if err != nil {
		return api.SyncResult{}, err
	}
	found, err := d.readInstalled(ctx, standing, report)
	if err != nil {
		return api.SyncResult{}, err
	}
	defer func() {
		for _, f := range found {
			if f.fresh != nil {
				d.dir.Discard(f.fresh.staged) // those that were not published
			}
		}
		debug.FreeOSMemory()
	}()
	var result api.SyncResult
	var gone []*entry
	err = d.onState(ctx, func(s *state) (err error) {
		if len(s.open) > 0 || s.generation != generation {
			return errOvertaken
		}
		report("publishing", 0, len(found))
		result, gone, err = s.apply(found)
		result.Duration = time.Since(started)
		s.lastSync = api.LastSync{When: s.now(), SyncResult: result}
		s.publish()
		s.tellAll()
		return err
	})
	for _, e := range gone {
		d.rebind(e)
	}
	return result, err
}

// standing lists the headers whose lists need no work: published by us as the
// configuration wants them now, vouched for by a key that is still trusted.
func (s *state) standing(signer string) map[store.Digest]*entry {
	m := make(map[store.Digest]*entry, len(s.byHeader))
	for digest, e := range s.byHeader {
		if e.active() && !e.broken && e.Grace == "" && e.Signer == signer && s.trusted(e) && s.allowed(e) {
			m[digest] = e
		}
	}
	return m
}

// allowed reports whether policy still lets an active list be: a floor may have
// risen above it.
func (s *state) allowed(e *entry) bool {
	return s.admit(e.Package).Verdict == policy.Allow
}

// readInstalled reads every header of rpm's database. Headers that stand are
// recognised by their digest; the others are verified, and their lists built,
// on all processors.
func (d *Daemon) readInstalled(ctx context.Context, standing map[store.Digest]*entry, report progress) ([]installedPackage, error) {
	dir, err := d.locateDB()
	if errors.Is(err, rpmdb.ErrNoDatabase) {
		return nil, nil // a root before its first package
	}
	if err != nil {
		return nil, err
	}
	db, err := rpmdb.Open(dir)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	blobs := make(chan []byte, 4)
	spare := make(chan []byte, 8)
	var (
		mu    sync.Mutex
		found []installedPackage
		group sync.WaitGroup
	)
	maker, keyring, now := d.maker.Load(), d.snapshot().keyring, d.now()
	for n := range runtime.GOMAXPROCS(0) {
		w := workspace{stager: d.dir.Stager("sync" + strconv.FormatUint(d.serial.Add(1), 36) + "-" + strconv.Itoa(n))}
		group.Go(func() {
			for blob := range blobs {
				p := maker.recognise(blob, standing, keyring, now, &w)
				mu.Lock()
				if p.pkg.Name != gpgPubkey {
					found = append(found, p)
				}
				if len(found)%64 == 0 {
					report("verifying", len(found), 0)
				}
				mu.Unlock()
				select {
				case spare <- blob:
				default:
				}
			}
		})
	}
	err = db.Headers(ctx, func(_ uint32, blob []byte) error {
		var buf []byte
		select {
		case buf = <-spare:
		default:
		}
		select {
		case blobs <- append(buf[:0], blob...):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	close(blobs)
	group.Wait()
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		for _, p := range found {
			if p.fresh != nil {
				d.dir.Discard(p.fresh.staged)
			}
		}
		return nil, fmt.Errorf("cannot read rpm's database: %w", err)
	}
	return found, nil
}

// recognise turns one header of rpm's database into what is to be done for it.
// The header is hostile input; one that is malformed costs its package the list.
func (m *maker) recognise(blob []byte, standing map[store.Digest]*entry, keyring *pgp.Keyring, now time.Time, w *workspace) (p installedPackage) {
	h, err := header.Parse(blob)
	if err != nil {
		p.err = fmt.Errorf("cannot read a header of rpm's database: %w", err)
		return p
	}
	if p.pkg, err = h.NEVRA(); err != nil {
		p.err = fmt.Errorf("cannot read a header of rpm's database: %w", err)
		return p
	}
	if p.pkg.Name == gpgPubkey {
		return p
	}
	digest, err := h.Digest()
	if err != nil {
		p.err = fmt.Errorf("cannot read header of %s: %w", p.pkg, err)
		return p
	}
	p.header = digest
	if e := standing[p.header]; e != nil && m.suits(e) {
		return p
	}
	sigs := h.Signatures()
	c, err := m.examine(h, sigs, keyring, now)
	if err == nil {
		err = m.build(c, h, sigs, w)
	}
	if err != nil {
		p.err = err
		return p
	}
	p.fresh = c
	return p
}

// suits reports whether e is the kind of list that m makes.
func (m *maker) suits(e *entry) bool {
	format, _, err := formatOf(e.Name)
	return err == nil && format == m.format
}

// apply brings lists and index in line with what is installed, durably, in one
// commit. It returns the lists that are gone, for files to be bound elsewhere.
func (s *state) apply(found []installedPackage) (r api.SyncResult, gone []*entry, err error) {
	by := wire.Peer{}
	slices.SortFunc(found, func(a, b installedPackage) int {
		return cmp.Or(cmp.Compare(a.pkg.Name, b.pkg.Name), cmp.Compare(a.pkg.Arch, b.pkg.Arch), nevra.Compare(a.pkg.EVR, b.pkg.EVR))
	})
	installed := make(map[store.Digest]string, len(found))
	for _, p := range found {
		if p.err != nil {
			s.log.Warn("package without a list", "package", p.pkg.String(), "error", p.err)
			r.Failed++
			// What stood may stay: the failure is ours, not the package's.
			if e := s.byHeader[p.header]; e != nil && e.active() && !e.broken && s.trusted(e) && s.allowed(e) {
				installed[p.header] = e.Name
			}
			continue
		}
		name := ""
		if p.fresh != nil {
			name = p.fresh.name
		} else if e := s.byHeader[p.header]; e != nil {
			name = e.Name
		}
		installed[p.header] = name
	}
	r.Installed = len(found)

	// First what must go, then what comes: a crash in between leaves too little
	// trusted, never too much.
	for _, e := range s.sorted() {
		name, ok := installed[e.Header]
		switch {
		case ok && name == e.Name:
			continue
		case e.Grace != "" && e.Grace == s.boot:
			continue
		}
		if err := s.dir.Remove(e.Name); err != nil {
			return r, gone, err
		}
		s.forget(e.Name)
		if s.retire(e, "removed", by) {
			r.Withdrawn++
			gone = append(gone, e)
		}
	}
	failpoint.Hit("sync-after-withdraw")

	initial := len(s.lines) == 0
	for _, p := range found {
		c := p.fresh
		if c == nil {
			if p.err == nil {
				r.Kept++
			}
			continue
		}
		d := c.vouch
		if d.Verdict == policy.Allow {
			if d = s.admit(c.pkg); d.Verdict == policy.Veto {
				d.Verdict = policy.WithholdList // it is installed already
			}
		}
		previous := s.byName[c.name]
		if previous != nil && previous.Header == c.header && previous.State == store.Withheld && d.Verdict != policy.Allow &&
			previous.Reason == string(d.Reason) {
			known := *previous
			known.refs = c.refs
			s.put(&known)
			r.Withheld++
			continue
		}
		if d.Verdict == policy.Allow {
			if err := s.dir.Publish(c.staged, c.name, false); err != nil {
				return r, gone, err
			}
			c.staged = store.Staged{}
			r.Published++
		} else {
			if err := s.dir.Remove(c.name); err != nil {
				return r, gone, err
			}
			if previous != nil && previous.active() {
				r.Withdrawn++
				gone = append(gone, previous)
			}
			r.Withheld++
		}
		a := &addition{candidate: *c, decision: d, previous: previous}
		e, err := s.entryOf(a)
		if err != nil {
			return r, gone, err
		}
		s.put(e)
		s.settle(e, a, by, initial)
	}
	failpoint.Hit("sync-after-publish")
	if r.Published > 0 {
		err = s.dir.Poke()
	}
	aside, ferr := s.foreign()
	r.Quarantined = aside
	err = errors.Join(err, ferr)
	if err == nil && r.Published+r.Withdrawn > 0 {
		err = s.dir.Sync(make([]string, r.Published+r.Withdrawn)...)
	}
	if initial && r.Published > 0 {
		s.event(store.Event{Kind: "first-sync", Text: fmt.Sprintf("%d lists published", r.Published)})
	}
	failpoint.Hit("sync-before-commit")
	s.batch.SetMeta(metaOpen, nil)
	if err = errors.Join(err, s.commit()); err == nil {
		s.interrupted = false
	}
	return r, gone, err
}
