// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"context"
	"fmt"
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
		return fmt.Errorf("the year %d is too far in the future", t.UTC().Year())
	}
	return nil
}

// Deny denies what a text names: a content by its digests, of a file that was found at path,
// or versions of a package. expires is zero for never. When it answers, no list in the
// directory has what is denied. [api.InvalidArgument] says that nothing can be denied so,
// [api.Unchanged] that all of it is said already, [api.Failed] that [api.MaxDenials] things
// are denied, or that lists resist: then it is denied all the same.
func (ad *Admin) Deny(ctx context.Context, by api.Actor, what, path, reason, ticket string, expires time.Time) (api.Denial, error) {
	p, err := policy.ParseSubject(what, ad.Snapshot().KnownName)
	if err != nil {
		return api.Denial{}, &api.Error{Code: api.InvalidArgument, Message: err.Error(),
			Advice: "name a file by its path, a digest as algorithm:digits, or a package as name, name.arch, name<version or NEVRA"}
	}
	if err := ad.Snapshot().ResolveRange(&p.Package, what); err != nil {
		return api.Denial{}, err
	}
	switch {
	case len(ticket) > policy.MaxTicket:
		return api.Denial{}, api.Errorf(api.InvalidArgument, "the ticket is longer than %d bytes", policy.MaxTicket)
	case p.Package.Name == policy.KeyName:
		return api.Denial{}, &api.Error{Code: api.InvalidArgument, Message: "rpm uses the name gpg-pubkey for keys", Advice: "see digestctl keys revoke"}
	}
	p.Reason, p.Ticket, p.Expires = reason, ticket, expires
	if err := writable(expires); err != nil {
		return api.Denial{}, api.Errorf(api.InvalidArgument, "%v", err)
	}
	if p.Expired(ad.Now()) {
		return api.Denial{}, api.Errorf(api.InvalidArgument, "%s is in the past", expires.UTC().Format(time.RFC3339))
	}
	var id string
	err = ad.denier.Change(ctx, func(s *ledger.Ledger) error {
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
			return api.Errorf(api.Unchanged, "%s is denied already, with the same reason and end: %s", p.Subject(), p.ID)
		}
		if p.ID == "" {
			if len(s.Denied) >= api.MaxDenials {
				return api.Errorf(api.Failed, "the limit of %d denials is reached", api.MaxDenials)
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
	ad.Logger.Warn("denied", "id", id, "what", p.Subject(), "reason", reason, "ticket", ticket, "uid", by.UID)
	if _, err := ad.denier.Complete(ctx); err != nil {
		return api.Denial{}, err
	}
	return ad.Snapshot().Denial(id), nil
}

// DenialLift lifts a denial and returns it as it was. what names it by its ID, its path or
// its subject. The lists that it withheld return, unless another reason withholds them. The
// error is [api.NotFound] if there is no such denial, and [api.InvalidArgument] if another
// authority made it or what names several.
func (ad *Admin) DenialLift(ctx context.Context, by api.Actor, what, reason string) (api.Denial, error) {
	id, err := ad.Snapshot().FindDenial(what)
	if err != nil {
		return api.Denial{}, err
	}
	was := ad.Snapshot().Denial(id)
	err = ad.denier.Change(ctx, func(s *ledger.Ledger) error {
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
	ad.WantSync("a denial was lifted")
	return was, nil
}
