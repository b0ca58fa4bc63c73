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

// Policy is what one file says.
type Policy struct {
	Description string // for people, "" for none

	Floors      []Floor
	Denials     []policy.Denial // without ID and By
	Revocations []Revocation

	Certificates []Certificate
	Exemptions   []Exemption
	Protected    []Protected
}

// Floor keeps out all versions of a package below one.
type Floor struct {
	Package string // its name
	Arch    string // "" for every architecture
	EVR     nevra.EVR
	Reason  string
}

// Revocation says that a key vouches for nothing any more.
type Revocation struct {
	Key    string // the fingerprint: 40 or 64 hexadecimal digits, in lower case
	Reason string
}

// Certificate may vouch for own lists that were made elsewhere.
type Certificate struct {
	Cert   *x509.Certificate
	Reason string
}

// ID names a certificate: SHA-256 of its DER form, hexadecimal.
func (c Certificate) ID() string {
	sum := sha256.Sum256(c.Cert.Raw)
	return hex.EncodeToString(sum[:])
}

// Exemption is a cgroup whose containers run files that no list holds.
type Exemption struct {
	Cgroup string // a pattern, as the setting guard-exempt has it
	Force  bool   // also if others than root can fill it
	Reason string
}

// Setting is e as the setting guard-exempt has it.
func (e Exemption) Setting() string {
	if e.Force {
		return e.Cgroup + " force " + e.Reason
	}
	return e.Cgroup
}

// Protected are packages whose lists no policy and no advisory withdraws.
type Protected struct {
	Package string // a pattern of names, as path.Match reads it
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

// Rule is one thing that a policy says, as people read it.
type Rule struct {
	Kind     string
	What     string // what it is about
	Says     string // what it says of that, "" where Kind tells everything
	Reason   string
	Tightens bool // it stays when its file goes
}

// String is the rule without its reason.
func (w Rule) String() string {
	if w.Says == "" {
		return w.Kind + " " + w.What
	}
	return w.Kind + " " + w.What + " " + w.Says
}

// Rules returns all that p says, in the order of kinds and of the file.
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

// Len is how many rules p has.
func (p *Policy) Len() int {
	return len(p.Floors) + len(p.Denials) + len(p.Revocations) + len(p.Certificates) + len(p.Exemptions) + len(p.Protected)
}

func (f Floor) named() string {
	if f.Arch == "" {
		return f.Package
	}
	return f.Package + "." + f.Arch
}

// Tightening is what stays of p when its file goes.
func (p *Policy) Tightening() *Policy {
	return &Policy{Description: p.Description, Floors: p.Floors, Denials: p.Denials, Revocations: p.Revocations}
}

// Change is what one file says otherwise than another.
type Change struct {
	Was, Is *Rule // nil: it says nothing of that
}

// Diff returns what changes when rules take the place of others: in the order of the
// former ones, then what is new.
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

// Conflict returns why p cannot be in force beside another policy of that name, nil if it
// can.
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
