// SPDX-License-Identifier: Apache-2.0

package query

import (
	"context"
	"fmt"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/build"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
)

// maxDenied bounds the paths of denied files in one answer.
const maxDenied = 100

// Check predicts the decision about a package if it were installed now. head and signatures
// are the two headers of the package file, without their magic. Query keeps nothing of them.
func (q *Query) Check(_ context.Context, head, signatures []byte) (api.Check, error) {
	invalid := func(what string, err error) error {
		return &api.Error{Code: api.InvalidArgument, Message: fmt.Sprintf("cannot read the %s of the package: %v", what, err), Advice: "download the package again"}
	}
	h, err := header.Parse(head)
	if err != nil {
		return api.Check{}, invalid("header", err)
	}
	var sigs []header.Signature
	if len(signatures) > 0 {
		s, err := header.Parse(signatures)
		if err != nil {
			return api.Check{}, invalid("signatures", err)
		}
		sigs = s.Signatures()
	}
	snap := q.Snapshot()
	m := q.Builder.Load()
	c, err := m.Examine(h, sigs, snap.Keyring, q.Now())
	// What no trusted key signed gets no list, and is not worth the memory that one may take.
	if err == nil && c.Pkg.Name != policy.KeyName && c.Vouch.Verdict == policy.Allow {
		err = m.Compose(c, h, &build.Workspace{Denials: snap.Denials})
	}
	if err != nil {
		return api.Check{}, invalid("header", err)
	}
	out := q.describeCheck(snap, c.Pkg)
	out.Header, out.List = true, c.Name
	if c.Key != nil {
		out.Key, out.KeyOwner = c.Key.Fingerprint, snap.KeyOwner(c.Key.Fingerprint)
	}
	for _, e := range snap.Entries {
		if e.Header == c.Header && e.Grace == "" {
			out.Installed, out.List = true, e.Name
			if e.Active() {
				out.Verdict, out.Files = api.CheckAllowed, e.Files
				out.Text = c.Pkg.String() + " is installed, and its list is active"
				return out, nil
			}
		}
	}
	out.Decide(q.foresee(snap, c))
	if out.Verdict == api.CheckAllowed {
		out.Files = c.Files
		for _, path := range c.Omitted.Paths[:min(len(c.Omitted.Paths), maxDenied)] {
			out.Denied = append(out.Denied, api.Clean(string(path)))
		}
		if n := len(c.Omitted.Paths); n > 0 {
			out.Text += fmt.Sprintf(", without %s that are denied", view.Plural(n, "file"))
		}
	}
	return out, nil
}

// CheckVersion predicts the decision about a version without its header: it judges neither
// signature nor contents.
func (q *Query) CheckVersion(_ context.Context, text string) (api.Check, error) {
	pkg, err := nevra.Parse(text)
	if err != nil {
		return api.Check{}, &api.Error{Code: api.InvalidArgument, Message: fmt.Sprintf("%q is not a package version: %v", text, err),
			Advice: "use the form of rpm -q: name-[epoch:]version-release.arch; or give the package file"}
	}
	snap := q.Snapshot()
	if pkg, err = snap.Resolve(pkg, text); err != nil {
		return api.Check{}, err
	}
	out := q.describeCheck(snap, pkg)
	out.Decide(q.known(snap, pkg.Name).AdmitIn(&state.Transaction{}, pkg, false))
	if out.Verdict == api.CheckAllowed {
		out.Text += "; its signature was not checked"
	}
	return out, nil
}

// foresee does by a snapshot what [ledger.Ledger.Foresee] does in a transaction.
func (q *Query) foresee(snap *view.Snapshot, c *view.Candidate) policy.Decision {
	d := q.known(snap, c.Pkg.Name).AdmitCandidate(&state.Transaction{}, c)
	switch {
	case d.Verdict != policy.Allow:
		return d
	case c.Vouch.Verdict != policy.Allow:
		return c.Vouch
	case c.Held != "":
		return policy.KeyHeld(c.Pkg, c.Held)
	case c.None != nil:
		return *c.None
	}
	return d
}

// known is a ledger with what the snapshot knows of a package name, to be asked about its
// versions.
func (q *Query) known(snap *view.Snapshot, name string) *ledger.Ledger {
	s := ledger.New(state.Settings{Mode: snap.Mode, Multi: q.Config.MultiVersion}, q.Now())
	s.Denials, s.Lines, s.Floors = snap.Denials, snap.Lines, snap.Floors
	s.Origins, s.Advised, s.AdvisoriesBind = snap.Origins, snap.Advised, snap.Binds
	for id := range snap.Lines {
		s.Archs[id.Arch] = true
	}
	for _, e := range snap.Entries {
		if e.Package.Name == name {
			s.ByLine[view.LineOf(e.Package)] = append(s.ByLine[view.LineOf(e.Package)], e)
		}
	}
	s.Past.Doubt = snap.Past.Doubt
	return s
}

func (q *Query) describeCheck(snap *view.Snapshot, pkg nevra.NEVRA) api.Check {
	out := api.Check{NEVRA: pkg.String()}
	for _, e := range snap.Entries {
		if e.Package.Name == pkg.Name && e.Active() && e.Grace == "" {
			out.Active = append(out.Active, e.Package.String())
		}
	}
	return out
}
