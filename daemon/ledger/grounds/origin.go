// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// An own list that was imported as the header of a package vouches for that version
// of it: what keeps the version out keeps the list out.

// origin returns the package whose header o was imported from; ok is false if it
// comes from none.
func origin(o record.Own) (pkg nevra.NEVRA, ok bool) {
	if o.Package == "" {
		return pkg, false
	}
	pkg, err := nevra.Parse(o.Package)
	return pkg, err == nil
}

// JudgeOrigin decides whether o may be imported.
func (s *Grounds) JudgeOrigin(o record.Own) policy.Decision {
	pkg, ok := origin(o)
	if !ok {
		return policy.Decision{}
	}
	return s.Admit(pkg, false)
}

// originRefused decides whether o may stay. That rpm installs a newer version is not
// said against a list of the owner's; a denial or a floor is.
func (s *Grounds) originRefused(o record.Own) policy.Decision {
	if o.Package == "" || !o.Removed.IsZero() {
		return policy.Decision{}
	}
	d := s.JudgeOrigin(o)
	if d.Reason != policy.ReasonDenied && d.Reason != policy.ReasonRollbackFloor {
		return policy.Decision{}
	}
	return d
}
