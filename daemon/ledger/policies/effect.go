// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"fmt"
	"slices"
	"strings"

	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/policy/fleet"
)

// effect is what a policy would do to the lists that are active.
type effect struct {
	*fleet.Policy
	of      int                    // active lists
	revoked map[*view.Entry]string // those that a revocation withdraws, and the key
	denied  map[*view.Entry]string // those that a denial of versions withdraws
	below   int                    // those that are below a floor
}

// foresee computes what a policy would do.
func foresee(s *grounds.Grounds, said *fleet.Policy) *effect {
	x := &effect{Policy: said, revoked: map[*view.Entry]string{}, denied: map[*view.Entry]string{}}
	keys := map[string]bool{}
	for _, r := range said.Revocations {
		keys[r.Key] = true
	}
	floors := map[string][]fleet.Floor{}
	for _, f := range said.Floors {
		floors[f.Package] = append(floors[f.Package], f)
	}
	denials := policy.NewDenials(said.Denials, s.Now())
	for _, e := range s.Sorted() {
		if !e.Active() {
			continue
		}
		x.of++
		switch key := signedBy(e, keys); {
		case key != "":
			x.revoked[e] = key
		case denials.Package(e.Package) != nil:
			x.denied[e] = denials.Package(e.Package).Subject()
		case slices.ContainsFunc(floors[e.Package.Name], func(f fleet.Floor) bool {
			return !e.Granted && (f.Arch == "" || f.Arch == e.Package.Arch) && nevra.Compare(e.Package.EVR, f.EVR) < 0 && !s.Policed.Protects(f.Package)
		}):
			x.below++
		}
	}
	return x
}

// signedBy returns which of these keys vouches for a list, "" for none.
func signedBy(e *view.Entry, keys map[string]bool) string {
	switch {
	case keys[e.Key]:
		return e.Key
	case e.Signature != nil && keys[e.Signature.Key]:
		return e.Signature.Key
	}
	return ""
}

// String says what follows for lists.
func (x *effect) String() string {
	lists := len(x.revoked) + len(x.denied) + x.below
	text := fmt.Sprintf("it has %s; %d of %s must be withdrawn", view.Plural(x.Len(), "rule"), lists, view.Plural(x.of, "list"))
	if n := slices.IndexFunc(x.Denials, func(d policy.Denial) bool { return len(d.Contents) > 0 }); n >= 0 {
		text += ", besides files that are denied"
	}
	return text
}

// refused says why no policy may have that effect.
func (x *effect) refused(s *grounds.Grounds, src *Sources, h *heard) error {
	protects := func(name string) bool {
		return s.Policed.Protects(name) || slices.ContainsFunc(x.Protected, func(p fleet.Protected) bool { return policy.IsMulti([]string{p.Package}, name) })
	}
	for _, e := range s.Sorted() {
		if key := x.revoked[e]; key != "" && protects(e.Package.Name) {
			return fmt.Errorf("the revocation of %s would withdraw the list of %s, which is protected", key, e.Package)
		}
		if what := x.denied[e]; what != "" && protects(e.Package.Name) {
			return fmt.Errorf("the denial of %s would withdraw the list of %s, which is protected", what, e.Package)
		}
	}
	for _, r := range x.Revocations {
		if s.Keys[r.Key].Use == view.UseLists {
			return fmt.Errorf("key %s signs the lists of this machine: to change it, digestctl keys rotate", r.Key)
		}
	}
	return x.succeeded(s, src, h)
}

// succeeded refuses that a policy revokes its own signer while no other may bring policy
// in its place.
func (x *effect) succeeded(s *grounds.Grounds, src *Sources, h *heard) error {
	if h.Package == "" {
		return nil
	}
	revokes := map[string]bool{}
	for _, r := range x.Revocations {
		revokes[r.Key] = true
	}
	own := revokes[h.Key]
	for e, key := range x.revoked {
		own = own || e.Package.Full() == h.Package && key != ""
	}
	if !own {
		return nil
	}
	for _, key := range src.Signers {
		c := s.Keyring.Primary(key)
		if key != h.Key && !revokes[key] && c != nil && c.Revoked == nil && c.Weak == "" {
			return nil
		}
	}
	return fmt.Errorf("it revokes its own signer %s, and no other key of policy-signers is trusted here (%s)", h.Key, strings.Join(src.Signers, ", "))
}
