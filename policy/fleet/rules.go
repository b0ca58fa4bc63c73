// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
)

// Policy has the contents of one policy file.
type Policy struct {
	Description string // for people, "" for none

	Floors      []Floor
	Denials     []policy.Denial // without ID and By
	Revocations []Revocation

	Certificates []Certificate
	Exemptions   []Exemption
	Protected    []Protected
}

// Floor keeps all versions of a package below one out.
type Floor struct {
	Package string // its name
	Arch    string // "" for every architecture
	EVR     nevra.EVR
	Reason  string
}

// Revocation ends the trust in a key.
type Revocation struct {
	Key    string // fingerprint: 40 or 64 hexadecimal digits, in lower case
	Reason string
}

// Certificate may vouch for own lists that were made elsewhere.
type Certificate struct {
	Cert   *x509.Certificate
	Reason string
}

// ID returns SHA-256 of the certificate's DER form, hexadecimal.
func (c Certificate) ID() string {
	sum := sha256.Sum256(c.Cert.Raw)
	return hex.EncodeToString(sum[:])
}

// Exemption names a cgroup whose containers may run files that no list has.
type Exemption struct {
	Cgroup string // a pattern, in the form of the setting guard-exempt
	Force  bool   // even if users other than root can put processes into it
	Reason string
}

// Setting returns e in the form of the setting guard-exempt.
func (e Exemption) Setting() string {
	if e.Force {
		return e.Cgroup + " force " + e.Reason
	}
	return e.Cgroup
}

// Protected names packages whose lists neither a policy nor an advisory withdraws.
type Protected struct {
	Package string // a pattern of names for path.Match
	Reason  string
}

// The kinds of rules.
const (
	KindFloor       = "floor"
	KindDenial      = "denial"
	KindRevocation  = "revocation"
	KindCertificate = "certificate"
	KindExemption   = "exemption"
	KindProtected   = "protected"
)

// Rule is one rule of a policy, in the form that people read.
type Rule struct {
	Kind     string
	What     string // its subject
	Says     string // what it says of that, "" where Kind tells everything
	Reason   string
	Tightens bool // it stays when its file goes
}

// String returns the rule without its reason.
func (w Rule) String() string {
	if w.Says == "" {
		return w.Kind + " " + w.What
	}
	return w.Kind + " " + w.What + " " + w.Says
}

// Rules returns all rules of p, by kind and in the order of the file.
func (p *Policy) Rules() []Rule {
	rules := make([]Rule, 0, p.Len())
	for _, f := range p.Floors {
		rules = append(rules, Rule{KindFloor, f.named(), f.EVR.String(), f.Reason, true})
	}
	for _, d := range p.Denials {
		w := Rule{Kind: KindDenial, What: d.Subject(), Reason: d.Reason, Tightens: true}
		if !d.Expires.IsZero() {
			w.Says = "until " + d.Expires.UTC().Format("2006-01-02T15:04:05Z")
		}
		rules = append(rules, w)
	}
	for _, r := range p.Revocations {
		rules = append(rules, Rule{KindRevocation, r.Key, "", r.Reason, true})
	}
	for _, c := range p.Certificates {
		rules = append(rules, Rule{KindCertificate, c.ID(), fmt.Sprintf("of %q", c.Cert.Subject), c.Reason, false})
	}
	for _, e := range p.Exemptions {
		w := Rule{KindExemption, e.Cgroup, "", e.Reason, false}
		if e.Force {
			w.Says = "forced"
		}
		rules = append(rules, w)
	}
	for _, x := range p.Protected {
		rules = append(rules, Rule{KindProtected, x.Package, "", x.Reason, false})
	}
	return rules
}

// Len returns the number of p's rules.
func (p *Policy) Len() int {
	return len(p.Floors) + len(p.Denials) + len(p.Revocations) + len(p.Certificates) + len(p.Exemptions) + len(p.Protected)
}

func (f Floor) named() string {
	if f.Arch == "" {
		return f.Package
	}
	return f.Package + "." + f.Arch
}

// Tightening returns the rules of p that stay when its file goes.
func (p *Policy) Tightening() *Policy {
	return &Policy{Description: p.Description, Floors: p.Floors, Denials: p.Denials, Revocations: p.Revocations}
}

// Change is a difference between two files.
type Change struct {
	Was, Is *Rule // nil: the file has no such rule
}

// Diff returns the changes from the rules was to the rules is: first changed and removed rules,
// in their old order, then new ones.
func Diff(was, is []Rule) (changes []Change) {
	type id struct{ kind, what string }
	now := map[id]Rule{}
	for _, w := range is {
		now[id{w.Kind, w.What}] = w
	}
	former := map[id]bool{}
	for _, w := range was {
		key := id{w.Kind, w.What}
		former[key] = true
		n, stays := now[key]
		switch {
		case !stays:
			changes = append(changes, Change{Was: &w})
		case n != w:
			changes = append(changes, Change{Was: &w, Is: &n})
		}
	}
	for _, w := range is {
		if !former[id{w.Kind, w.What}] {
			changes = append(changes, Change{Is: &w})
		}
	}
	return changes
}

// Conflict returns an error if p cannot be in force beside another policy of that name.
func (p *Policy) Conflict(name string, other *Policy) error {
	if id := bothTrustAndRevoke(p, other); id != "" {
		return fmt.Errorf("it trusts the certificate %s, which the policy %s revokes", id, name)
	}
	if id := bothTrustAndRevoke(other, p); id != "" {
		return fmt.Errorf("it revokes the certificate %s, which the policy %s trusts", id, name)
	}
	return nil
}

func bothTrustAndRevoke(trusts, revokes *Policy) string {
	for _, c := range trusts.Certificates {
		if slices.ContainsFunc(revokes.Revocations, func(r Revocation) bool { return r.Key == c.ID() }) {
			return c.ID()
		}
	}
	return ""
}
