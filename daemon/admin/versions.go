// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/advice"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// parseExact reads a full NEVRA: what a grant is about must be exactly one
// version on one architecture.
func (ad *Admin) parseExact(text string) (nevra.NEVRA, error) {
	pkg, own, err := view.ParseOwn(text)
	if !own {
		pkg, err = nevra.Parse(text)
	}
	if err != nil {
		return pkg, &api.Error{Code: api.InvalidArgument, Message: fmt.Sprintf("%q is not a package version: %v", text, err),
			Advice: "use the form of rpm -q: name-[epoch:]version-release.arch"}
	}
	return ad.Snapshot().Resolve(pkg, text)
}

// RollbackGrant permits one version below the highest active one, once. text names the
// version with its architecture. The error is [api.InvalidArgument] if text names no
// version, or one that needs no grant or that no grant can admit, and [api.Unchanged] if the
// version is granted already.
func (ad *Admin) RollbackGrant(ctx context.Context, by api.Actor, text, reason string) (api.Grant, error) {
	pkg, err := ad.parseExact(text)
	if err != nil {
		return api.Grant{}, err
	}
	var made api.Grant
	err = ad.Exec.Decide(ctx, "grant", func(s *ledger.Ledger) error {
		a, err := ledger.Act(s, by, reason)
		if err != nil {
			return err
		}
		id := view.LineOf(pkg)
		// As a package that takes the place of those of every other architecture.
		line := s.LineBeside(pkg, func(view.LineID) bool { return false })
		// Nobody knows here who signed the package, so each advisory about it may apply.
		s.CompleteLine(&line, pkg, advice.Told{}, func([]string) bool { return true })
		dec := policy.Admit(policy.Enforce, line, pkg)
		if dec.Reason == policy.ReasonDenied {
			return &api.Error{Code: api.InvalidArgument, Message: "no grant can admit it: " + dec.Text}
		}
		if dec.Verdict == policy.Allow && !dec.Grant && !line.Undecided {
			return &api.Error{Code: api.InvalidArgument, Message: pkg.String() + " needs no grant: no newer version was active here",
				Advice: "install it"}
		}
		l := s.Lines[id]
		if slices.ContainsFunc(l.Grants, func(g record.Grant) bool { return g.EVR == pkg.EVR }) {
			return api.Errorf(api.Unchanged, "%s has an unused grant already", pkg)
		}
		l.Name, l.Arch = id.Name, id.Arch
		l.Grants = slices.DeleteFunc(slices.Clone(l.Grants), func(g record.Grant) bool { return g.EVR == pkg.EVR })
		l.Grants = append(l.Grants, record.Grant{EVR: pkg.EVR, Act: a})
		s.SetLine(l)
		s.Event(record.Event{Kind: audit.KindGranted, Package: pkg.Full(), Text: reason, UID: by.UID, PID: by.PID})
		made = api.Grant{Package: pkg.Full(), UID: by.UID, Reason: reason, When: a.When}
		return nil
	})
	if err == nil {
		// It may be installed already, without its list.
		ad.WantSync("a rollback was granted")
	}
	return made, err
}

// RollbackRevoke revokes a grant that was not used. The error is [api.NotFound] if there is
// none, and [api.Busy] if a transaction is using it.
func (ad *Admin) RollbackRevoke(ctx context.Context, by api.Actor, text string) error {
	pkg, err := ad.parseExact(text)
	if err != nil {
		return err
	}
	return ad.Exec.Decide(ctx, "grant", func(s *ledger.Ledger) error {
		id := view.LineOf(pkg)
		l := s.Lines[id]
		i := slices.IndexFunc(l.Grants, func(g record.Grant) bool { return g.EVR == pkg.EVR })
		if i < 0 {
			return &api.Error{Code: api.NotFound, Message: "there is no unused grant for " + pkg.String(), Advice: "see digestctl rollback log"}
		}
		if s.UsesGrant(id, pkg.EVR) {
			return &api.Error{Code: api.Busy, Message: "a running transaction uses the grant for " + pkg.String(),
				Advice: "wait until it ends; to withdraw the list: digestctl deny"}
		}
		l.Grants = slices.Delete(slices.Clone(l.Grants), i, i+1)
		s.SetLine(l)
		s.Event(record.Event{Kind: audit.KindGrantRevoked, Package: pkg.Full(), UID: by.UID, PID: by.PID})
		return nil
	})
}

// FloorSet sets the version below which nothing of a package may be active; pkg is a name
// or name.arch. When it answers, no list of such a version is in the directory.
// [api.NotFound] says that nothing is known of the package, [api.InvalidArgument] that
// evrText is no version, or could be of several epochs, [api.Unchanged] that this is its
// floor.
func (ad *Admin) FloorSet(ctx context.Context, by api.Actor, pkg, evrText, reason string) error {
	evr, err := nevra.ParseEVR(evrText)
	if err != nil {
		return &api.Error{Code: api.InvalidArgument, Message: fmt.Sprintf("%q is not a version: %v", evrText, err), Advice: "give [epoch:]version-release"}
	}
	if !strings.Contains(evrText, ":") {
		snap := ad.Snapshot()
		name, arch := pkg, ""
		if !snap.KnownName(pkg) {
			name, arch, _ = state.CutArch(pkg)
		}
		if evr.Epoch, _, err = snap.Epoch(name, arch, evrText); err != nil {
			return err
		}
	}
	err = ad.Exec.Decide(ctx, "floor", func(s *ledger.Ledger) error {
		a, err := ledger.Act(s, by, reason)
		if err != nil {
			return err
		}
		ids, err := s.LinesNamed(pkg)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(ids, func(id view.LineID) bool { return s.Lines[id].Floor != evr || s.GrantedBelow(id, evr) }) {
			return api.Errorf(api.Unchanged, "the floor of %s is %s already", pkg, evr)
		}
		for _, id := range ids {
			s.RaiseFloor(id, evr, a)
		}
		s.Suspend(s.BelowFloors(ids[0].Name))
		s.WithdrawUnknown()
		return nil
	})
	ad.WantSync("a floor was set")
	return err
}

// FloorClear removes a floor. It lowers neither a counter nor the highest active version.
// The error is [api.NotFound] if there is no floor, and [api.InvalidArgument] if the floor
// applies to every architecture but pkg names one.
func (ad *Admin) FloorClear(ctx context.Context, by api.Actor, pkg, reason string) error {
	err := ad.Exec.Decide(ctx, "floor", func(s *ledger.Ledger) error {
		if _, err := ledger.Act(s, by, reason); err != nil {
			return err
		}
		ids, err := s.LinesNamed(pkg)
		if err != nil {
			return err
		}
		cleared := false
		for _, id := range ids {
			if s.Lines[id].Floor.IsZero() {
				continue
			}
			cleared = true
			s.SaveLine(id, s.PolicyLine(id).ClearFloor())
			s.Event(record.Event{Kind: audit.KindFloorCleared, Package: id.String(), Text: reason, UID: by.UID, PID: by.PID})
		}
		if name := state.AnyArch(ids[0].Name); len(ids) == 1 && !s.Lines[name].Floor.IsZero() {
			return &api.Error{Code: api.InvalidArgument, Message: fmt.Sprintf("the floor of %s is for every architecture", pkg),
				Advice: "clear that: digestctl floor clear " + name.Name + " --reason WHY"}
		}
		if !cleared {
			return &api.Error{Code: api.NotFound, Message: pkg + " has no floor", Advice: "see digestctl floor list"}
		}
		return nil
	})
	if err == nil {
		ad.WantSync("a floor was cleared")
	}
	return err
}
