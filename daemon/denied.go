// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// retiredDenied is why a body must not come back that holds what is denied.
const retiredDenied = "replaced by a list without what is denied"

// compileDenials takes over what is denied now: the owner's word first. What is
// under way by what was denied before has to begin again.
func (s *state) compileDenials() {
	var list []policy.Denial
	s.solved("denials")
	for _, id := range slices.Sorted(maps.Keys(s.denied)) {
		d, err := view.PolicyDenial(s.denied[id])
		if err != nil {
			s.problem("denials", api.SeverityError, fmt.Sprintf("denial %s cannot be read and has no effect: %v", id, err),
				"lift it and say it again: digestctl deny lift "+id+" --reason WHY")
			continue
		}
		list = append(list, d)
	}
	for _, source := range slices.Sorted(maps.Keys(s.others)) {
		list = append(list, s.others[source]...)
	}
	s.denials = policy.NewDenials(list, s.now())
	s.basis++
}

// complete reports whether a list leaves out no more than is denied still.
func (s *state) complete(e *view.Entry) bool {
	return !slices.ContainsFunc(e.Denied, func(id string) bool { return s.denials.ByID(id) == nil })
}

// enforceDenials makes the list directory hold nothing that is denied, and
// returns how many lists had to leave it or to change. What is denied is durable
// before the first of them does, so that a start after a crash completes it.
func (d *Daemon) enforceDenials(ctx context.Context) (lists int, err error) {
	harmless := map[*view.Entry]bool{} // that only seemed to hold something
	for {
		var (
			out     int
			hit     []*view.Entry
			denials *policy.Denials
			basis   uint64
		)
		err := d.exec.decide(ctx, "deny", func(s *state) error {
			var leave []suspension
			leave, hit = s.deniedLists(harmless)
			out, denials, basis = len(leave), s.denials, s.basis
			s.suspend(leave)
			return nil
		})
		lists += out
		if err != nil || len(hit) == 0 {
			return lists, err
		}
		reduced := d.reduce(hit, denials)
		for _, r := range reduced {
			if r.harmless {
				harmless[r.entry] = true
			}
		}
		var failed bool
		err = d.exec.decide(ctx, "deny", func(s *state) error {
			s.replaceReduced(reduced, basis)
			return nil
		})
		for _, r := range reduced {
			d.dir.Discard(r.Staged)
			switch {
			case r.published:
				lists++
				d.refreshOmitted(r)
			case r.out:
				lists++
				failed = failed || !errors.Is(r.err, digestlist.ErrEmpty)
			}
		}
		if failed {
			d.wantSync("lists could not be changed in place")
		}
		if err != nil {
			return lists, err
		}
	}
}

// deniedLists finds the lists of denied packages, which must leave the directory, and
// those that may hold denied contents.
func (s *state) deniedLists(harmless map[*view.Entry]bool) (out []suspension, hit []*view.Entry) {
	heads := s.denials.Heads()
	for _, e := range s.sorted() {
		if !e.Active() {
			continue
		}
		if d := s.denials.Package(e.Package); d != nil {
			out = append(out, suspension{e, s.admit(e.Package, false)})
		} else if d := s.originRefused(s.own[e.Own]); e.Own != "" && d.Verdict != policy.Allow {
			out = append(out, suspension{e, d})
		} else if e.Refs.HitBy(heads) && !harmless[e] {
			hit = append(hit, e)
		}
	}
	return out, hit
}

// suspension is a list that must leave the directory, and why.
type suspension struct {
	entry    *view.Entry
	decision policy.Decision
}

// suspend takes lists out of the directory and keeps what they were, for the day
// that the denial is lifted, the floor cleared, or a key vouches for them again. What
// was queued before, why they go, is durable first.
func (s *state) suspend(list []suspension) {
	if len(list) == 0 {
		return
	}
	s.setMark() // a crash may leave a list that is withheld on record
	s.intend()
	for _, x := range list {
		e, dec, reason := x.entry, x.decision, string(x.decision.Reason)
		s.plan.withdraw = append(s.plan.withdraw, withdrawal{name: e.Name, entry: e})
		s.sync(e.Name)
		if e.Grace != "" {
			s.forget(e.Name)
			s.retire(e, reason, wire.Peer{})
			continue
		}
		w := *e
		w.State, w.Reason, w.Text, w.Denied = record.Withheld, reason, dec.Text, nil
		if dec.Denial != "" {
			w.Denied = []string{dec.Denial}
		}
		w.File, w.Signer, w.Left, w.Broken, w.Since = record.Digest{}, "", 0, false, s.now()
		if s.pending(e) {
			w.Counter = 0
			s.put(&w)
			continue
		}
		s.rememberBody(e, reason)
		s.save(&w)
		s.event(record.Event{Kind: audit.KindWithdrawn, Package: e.Package.Full(), List: e.Name, Key: e.Key, Counter: e.Counter,
			Reason: reason, Text: dec.Text})
		s.after(func(o observer) { o.ListWithdrawn(e.Name, e.Package.Full(), reason) })
	}
	s.record()
}

// reduction is a list as it will be without what is denied.
type reduction struct {
	view.Candidate
	entry     *view.Entry
	harmless  bool // it holds nothing that is denied
	err       error
	published bool
	out       bool // it left the directory
}

// reduce makes lists anew from what lies in the directory, without what is
// denied, signed and staged, on all processors.
func (d *Daemon) reduce(hit []*view.Entry, denials *policy.Denials) []*reduction {
	m := d.maker.Load()
	all := make([]*reduction, len(hit))
	var group sync.WaitGroup
	var next atomic.Int64
	for range min(runtime.GOMAXPROCS(0), len(hit)) {
		w := workspace{stager: d.dir.Stager("deny" + strconv.FormatUint(d.serial.Add(1), 36)), denials: denials}
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(hit)); i = next.Add(1) - 1 {
				e := hit[i]
				r := &reduction{entry: e, Candidate: view.Candidate{Pkg: e.Package, Header: e.Header, Name: e.Name}}
				r.err = d.reduceOne(m, r, &w)
				all[i] = r
			}
		})
	}
	group.Wait()
	return all
}

func (d *Daemon) reduceOne(m *maker, r *reduction, w *workspace) error {
	data, err := d.dir.Read(r.entry.Name, nil)
	if err != nil {
		return err
	}
	if record.Digest(sha256.Sum256(data)) != r.entry.File {
		return fmt.Errorf("its file is not what was published")
	}
	format, _, err := formatOf(r.entry.Name)
	if err != nil {
		return err
	}
	if body, _, _, err := digestlist.SplitSignature(data); err == nil {
		data = body
	}
	w.body, r.Omitted, err = omit(w.body[:0], format, data, w.denials)
	if err != nil {
		return err
	}
	if len(r.Omitted.Paths) == 0 {
		r.harmless = true
		return nil
	}
	r.Files = r.entry.Files - len(r.Omitted.Paths)
	if r.Refs, err = makeRefs(format, w.body, r.Files); err != nil {
		return err
	}
	r.Refs.Paths = r.entry.Refs.Paths
	r.Body = sha256.Sum256(w.body)
	if err := m.signList(&r.Candidate, w); err != nil {
		return err
	}
	return m.stage(&r.Candidate, w)
}

// replaceReduced exchanges lists for those without what is denied. One that could
// not be made leaves the directory; reconciliation may make it anew.
func (s *state) replaceReduced(all []*reduction, basis uint64) {
	if s.basis != basis {
		return // once more, by what holds now
	}
	var out []suspension
	for _, r := range all {
		switch {
		case s.byName[r.entry.Name] != r.entry || r.harmless:
		case r.err == nil:
			s.exchange(r)
		default:
			r.out = true
			out = append(out, s.unreduced(r))
		}
	}
	s.suspend(out)
}

// exchange publishes a list without what is denied in the place of the one with
// it. That is an activation like another.
func (s *state) exchange(r *reduction) {
	staged := r.Staged
	r.Staged = record.Staged{}
	s.sync(r.Name)
	s.plan.publish = append(s.plan.publish, publication{name: r.Name, staged: staged, poke: true, then: func(p published) error {
		if r.err = p.err; r.err != nil {
			r.out = true
			s.suspend([]suspension{s.unreduced(r)})
			return nil
		}
		r.published = true
		s.exchanged(r, p.stamp)
		return nil
	}})
}

func (s *state) exchanged(r *reduction, stamp record.Stamp) {
	e := *r.entry
	e.Wide = r.Wide
	e.Body, e.File, e.Signer, e.Files, e.Refs, e.Stamp = r.Body, r.File, r.Signer, r.Files, r.Refs, stamp
	e.Denied, e.Left, e.Broken = mergeIDs(r.entry.Denied, r.Omitted.IDs), r.entry.Left+len(r.Omitted.Paths), false
	if s.pending(r.entry) {
		s.put(&e)
		return
	}
	e.Counter = s.nextCounter()
	if id := view.LineOf(e.Package); e.Grace == "" {
		s.saveLine(id, s.policyLine(id).Activate(e.Package.EVR, e.Counter))
	}
	s.rememberBody(r.entry, retiredDenied)
	s.unretire(e.Body)
	s.save(&e)
	s.event(record.Event{Kind: audit.KindReduced, Package: e.Package.Full(), List: e.Name, Key: e.Key, Counter: e.Counter,
		Reason: string(policy.ReasonDenied), Text: r.Omitted.Text(e.Package.String())})
	s.after(func(o observer) { o.ListPublished(e.Name, e.Package.Full()) })
	s.record()
}

// pending reports whether e came with a transaction that has not ended: then its
// end records it.
func (s *state) pending(e *view.Entry) bool {
	for t := range s.open {
		if a := t.added[e.Header]; a != nil && !a.reused {
			return true
		}
	}
	return false
}

func mergeIDs(a, b []string) []string {
	ids := slices.Concat(a, b)
	slices.Sort(ids)
	return slices.Compact(ids)
}

// unreduced is what becomes of a list that cannot do without what is denied.
func (s *state) unreduced(r *reduction) suspension {
	why := "its list could not be made without it: " + r.err.Error()
	if errors.Is(r.err, digestlist.ErrEmpty) {
		why = emptied
	}
	d := &policy.Denial{}
	if len(r.Omitted.By) > 0 {
		d = r.Omitted.By[0]
	} else if found := s.hitting(r.entry); found != nil {
		d = found
	}
	return suspension{r.entry, policy.Emptied(r.entry.Package, *d, why)}
}

// hitting returns a denial that may be about something in the list of e.
func (s *state) hitting(e *view.Entry) *policy.Denial {
	return s.denials.Find(func(head uint64) bool { return e.Refs.HasDigest(head) })
}

// refreshOmitted writes the labels of files anew that a list has left out, so
// that no verdict about them outlives it.
func (d *Daemon) refreshOmitted(r *reduction) {
	if !d.config.Labels {
		return
	}
	var left []leftFile
	defer func() { d.leaveLabels(left) }()
	for _, path := range r.Omitted.Paths {
		f, err := d.root.Find(r.entry.Moved.Path(string(path)), false)
		if err != nil {
			continue // there is no such file, or no regular one
		}
		if label, err := f.Label(); err == nil && label == r.Name {
			if err = f.RenewLabel(r.Name); err != nil {
				left = append(left, leftFile{string(path), err})
			}
		}
		f.Close()
	}
}
