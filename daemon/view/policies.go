// SPDX-License-Identifier: Apache-2.0

package view

import (
	"crypto/x509"
	"maps"
	"slices"

	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/policy/fleet"
	"github.com/digestd/digestd/store/record"
)

// Policed is what policy files say here. Its maps never change once they are seen.
type Policed struct {
	Policies map[string]record.Policy // whose words are in force, by name
	Said     map[string]*fleet.Policy // these words, by name
	Unheard  map[string]Unheard       // files that do not count, by name
}

// Unheard is a policy file that does not count.
type Unheard struct {
	Path string
	Why  string
	// Expected: nobody asked for it to count, for no signer of policies is set.
	Expected bool
}

// PolicyOrigin is how words of a policy say where they come from.
func PolicyOrigin(name string) string { return policyPrefix + name }

const policyPrefix = "policy:"

// PolicyStrength says how well the origin of a policy is known.
func PolicyStrength(p record.Policy) string {
	if p.Package == "" {
		return "a file of the administrator's"
	}
	return "signed by " + p.Key
}

// PolicyRevoking names a policy that revokes a key, "" for none.
func (p *Policed) PolicyRevoking(fingerprint string) string {
	for _, name := range slices.Sorted(maps.Keys(p.Said)) {
		if slices.ContainsFunc(p.Said[name].Revocations, func(r fleet.Revocation) bool { return r.Key == fingerprint }) {
			return name
		}
	}
	return ""
}

// PolicyCertificates are those that may vouch for own lists because a policy says so.
func (p *Policed) PolicyCertificates() (certs []*x509.Certificate) {
	for _, name := range slices.Sorted(maps.Keys(p.Said)) {
		for _, c := range p.Said[name].Certificates {
			certs = append(certs, c.Cert)
		}
	}
	return certs
}

// PolicyTrusts reports whether a policy lets the certificate of that ID vouch for own
// lists.
func (p *Policed) PolicyTrusts(id string) bool {
	for _, said := range p.Said {
		if slices.ContainsFunc(said.Certificates, func(c fleet.Certificate) bool { return c.ID() == id }) {
			return true
		}
	}
	return false
}

// PolicyExemptions are the cgroups that policies exempt, as the setting guard-exempt has
// them, sorted.
func (p *Policed) PolicyExemptions() (all []string) {
	for _, said := range p.Said {
		for _, e := range said.Exemptions {
			all = append(all, e.Setting())
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Protects reports whether no policy and no advisory may withdraw the lists of a package.
func (p *Policed) Protects(name string) bool {
	if policy.IsMulti(policy.AlwaysProtected, name) {
		return true
	}
	for _, said := range p.Said {
		if slices.ContainsFunc(said.Protected, func(x fleet.Protected) bool { return policy.IsMulti([]string{x.Package}, name) }) {
			return true
		}
	}
	return false
}
