// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// writable refuses times that no JSON document can hold.
func writable(t time.Time) error {
	if t.UTC().Year() > 9999 {
		return fmt.Errorf("the year %d is too far away", t.UTC().Year())
	}
	return nil
}

// Deny records a word of the owner's against what a text names, and enforces it.
func (ad *Admin) Deny(ctx context.Context, by api.Actor, what, path, reason, ticket string, expires time.Time) (api.Denial, error) {
	p, err := policy.ParseSubject(what, ad.snapshot().KnownName)
	if err != nil {
		return api.Denial{}, &api.Error{Code: api.InvalidArgument, Message: err.Error(),
			Advice: "name a file by its path, a digest as algorithm:digits, or a package as name, name.arch, name<version or NEVRA"}
	}
	if err := ad.snapshot().ResolveRange(&p.Package, what); err != nil {
		return api.Denial{}, err
	}
	switch {
	case len(ticket) > policy.MaxTicket:
		return api.Denial{}, api.Errorf(api.InvalidArgument, "the ticket is longer than %d bytes", policy.MaxTicket)
	case p.Package.Name == gpgPubkey:
		return api.Denial{}, &api.Error{Code: api.InvalidArgument, Message: "gpg-pubkey is how rpm keeps keys", Advice: "see digestctl keys revoke"}
	}
	p.Reason, p.Ticket, p.Expires = reason, ticket, expires
	if err := writable(expires); err != nil {
		return api.Denial{}, api.Errorf(api.InvalidArgument, "%v", err)
	}
	if p.Expired(ad.now()) {
		return api.Denial{}, api.Errorf(api.InvalidArgument, "%s has gone by already", expires.UTC().Format(time.RFC3339))
	}
	var id string
	err = ad.denier.changeDenials(ctx, func(s *ledger.Ledger) error {
		a, err := ledger.Act(s, by, reason)
		if err != nil {
			return err
		}
		unchanged := ""
		for _, old := range s.Owners() {
			if !old.Same(p) {
				continue
			}
			if p.ID != "" {
				s.DropDenial(old.ID) // they turn out to be about one content
				continue
			}
			// The newest word counts, and all digests that are known.
			p.ID, p.Contents = old.ID, old.Merge(p).Contents
			said := s.Denied[old.ID]
			if said.UID == by.UID && said.Reason == reason && said.Ticket == ticket && said.Expires.Equal(expires) && len(p.Contents) == len(old.Contents) {
				unchanged = old.ID
			}
			path = cmp.Or(path, s.Denied[old.ID].Path)
		}
		if unchanged != "" && unchanged == p.ID {
			return api.Errorf(api.Unchanged, "%s is denied already, for that reason and until then: %s", p.Subject(), p.ID)
		}
		if p.ID == "" {
			if len(s.Denied) >= api.MaxDenials {
				return api.Errorf(api.Failed, "%d things are denied already, which is the most", api.MaxDenials)
			}
			p.ID = view.NewDenialID(p.Subject(), s.Denied)
		}
		id = p.ID
		s.SetDenial(view.RecordOf(p, path, a))
		s.Event(record.Event{Kind: audit.KindDenied, Package: p.Subject(), Reason: ticket, Text: reason, UID: by.UID, PID: by.PID})
		s.After(func(o state.Observer) { o.Denied(p.ID, p.Subject(), reason) })
		return nil
	})
	if err != nil {
		return api.Denial{}, err
	}
	ad.log.Warn("denied", "id", id, "what", p.Subject(), "reason", reason, "ticket", ticket, "uid", by.UID)
	if _, err := ad.denier.completeDenials(ctx); err != nil {
		return api.Denial{}, err
	}
	return ad.snapshot().Denial(id), nil
}

// completeDenials enforces what was just denied, even if whoever asked for it has
// gone; what cannot be done now is left to reconciliation.
func (d *Denier) completeDenials(ctx context.Context) (lists int, err error) {
	ctx = context.WithoutCancel(ctx)
	err = d.exec.Decide(ctx, "deny", func(s *ledger.Ledger) error {
		s.WithdrawUnknown()
		return nil
	})
	lists, eerr := d.enforceDenials(ctx)
	if err = errors.Join(err, eerr); err != nil {
		d.wantSync("lists still have what is denied")
		err = fmt.Errorf("cannot take what is denied out of all lists yet, though its denial is recorded: %w", err)
	}
	return lists, err
}

// changeDenials changes what is denied, durably, and takes it over. What was
// made meanwhile by what was denied before is made again.
func (d *Denier) changeDenials(ctx context.Context, change func(s *ledger.Ledger) error) error {
	err := d.exec.Decide(ctx, "deny", func(s *ledger.Ledger) error {
		if err := change(s); err != nil {
			return err
		}
		s.CompileDenials()
		out, _ := s.DeniedLists(nil)
		s.Suspend(out)
		return nil
	})
	for _, c := range []chan struct{}{d.ended, d.denying} {
		select {
		case c <- struct{}{}:
		default:
		}
	}
	return err
}

// DenialLift takes a denial back: what it withheld returns, unless something else
// speaks against it.
func (ad *Admin) DenialLift(ctx context.Context, by api.Actor, what, reason string) (api.Denial, error) {
	id, err := ad.snapshot().FindDenial(what)
	if err != nil {
		return api.Denial{}, err
	}
	was := ad.snapshot().Denial(id)
	err = ad.denier.changeDenials(ctx, func(s *ledger.Ledger) error {
		a, err := ledger.Act(s, by, reason)
		if err != nil {
			return err
		}
		if s.Denied[id].ID == "" {
			return view.NoDenial(what)
		}
		s.DropDenial(id)
		s.Event(record.Event{Kind: audit.KindDenialLifted, Package: was.What, Text: a.Reason, UID: a.UID, PID: a.PID})
		s.After(func(o state.Observer) { o.DenialLifted(id, was.What, reason) })
		return nil
	})
	if err != nil {
		return api.Denial{}, err
	}
	ad.wantSync("a denial was lifted")
	return was, nil
}

// denialLoop ends denials when their time is over. It sleeps until the next is.
func (d *Denier) denialLoop(ctx context.Context) error {
	var pause time.Duration // after an end that could not be recorded
	for {
		var over <-chan time.Time
		var timer *time.Timer
		if next := d.snapshot().Denials.Next(); !next.IsZero() {
			timer = time.NewTimer(max(next.Sub(d.now()), pause))
			over = timer.C
		}
		select {
		case <-ctx.Done():
		case <-d.denying:
		case <-over:
			pause = 0
			if err := d.changeDenials(ctx, func(s *ledger.Ledger) error { s.ExpireDenials(); return nil }); err != nil {
				d.log.Warn("end of a denial not recorded", "error", err)
				pause = lastChore
				break
			}
			d.wantSync("a denial expired")
		}
		if timer != nil {
			timer.Stop()
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// setDenied takes over all that another authority denies, in the place of what it
// denied before; it is not recorded, for its source is asked again at every
// start. Call it before the first reconciliation, or what it denies is published
// for a moment.
func (d *Denier) setDenied(ctx context.Context, source string, denials []policy.Denial) error {
	fewer := false
	err := d.changeDenials(ctx, func(s *ledger.Ledger) error {
		others := maps.Clone(s.Others)
		if others == nil {
			others = map[string][]policy.Denial{}
		}
		list := slices.Clone(denials)
		for i := range list {
			list[i].By, list[i].Foreign = source, true
			list[i].ID = cmp.Or(list[i].ID, view.NewDenialID(source+" "+list[i].Subject(), nil))
		}
		fewer = slices.ContainsFunc(others[source], func(was policy.Denial) bool {
			return !slices.ContainsFunc(list, func(is policy.Denial) bool { return is.ID == was.ID })
		})
		others[source] = list
		s.Others = others
		return nil
	})
	if err == nil {
		_, err = d.completeDenials(ctx)
	}
	if fewer {
		d.wantSync(source + " denies less")
	}
	return err
}

// Denials returns a page of what is denied, here and by others.
func (q *Query) Denials(_ context.Context, offset, limit uint32) ([]api.Denial, uint32, error) {
	snap := q.snapshot()
	lists := snap.ListsByDenial()
	all := make([]api.Denial, 0, len(snap.Denied))
	for id := range snap.Denied {
		all = append(all, snap.DescribeDenial(id, lists))
	}
	for _, f := range snap.Denials.Foreign() {
		all = append(all, snap.DescribeForeign(f, lists))
	}
	slices.SortFunc(all, func(a, b api.Denial) int { return cmp.Compare(a.ID, b.ID) })
	total := uint32(len(all))
	lo := min(offset, total)
	return all[lo : lo+min(limit, total-lo)], total, nil
}
