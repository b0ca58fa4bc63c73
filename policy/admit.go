// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"

	"github.com/digestd/digestd/digestlist/nevra"
)

// permitOnce is the advice at the end of a text about a rollback.
const permitOnce = "; to permit it once: digestctl rollback grant %s --reason WHY"

// Admit decides whether pkg, of line l, may have an active list. In order:
//
//   - a denied package may not, whatever else permits it;
//   - an active version stays, unless a floor above it was set since, or its list was
//     withdrawn because of an advisory;
//   - while it is in doubt whether the line is complete, a version older than the
//     installed one is a rollback, and no grant counts;
//   - a granted version may come;
//   - a version below a floor, or below the version that advisories require, is a rollback;
//   - of a multi-version package, a version not above all retired ones is a rollback; of any
//     other package, a version below the highest that was ever active;
//   - any other version may come.
//
// The mode decides what follows from a rollback.
func Admit(m Mode, l Line, pkg nevra.NEVRA) Decision {
	e := pkg.EVR
	for _, d := range l.Denials {
		if d.Package.Has(pkg) {
			return denied(m, pkg, d)
		}
	}
	if a, ok := l.active(e); ok && (a.Granted || !l.belowFloor(e)) && !(a.Retracted && l.belowAdvised(e)) {
		return Decision{Reason: ReasonActive}
	}
	if d, ok := doubted(m, l, pkg); ok {
		return d
	}
	if l.Doubt == NoDoubt && slices.Contains(l.Grants, e) {
		return Decision{Reason: ReasonGranted, Grant: true}
	}
	d := Decision{}
	floor, by, below := l.floorOver(e)
	switch {
	case below && by != "":
		d.Reason = ReasonRollbackFloor
		d.Text = fmt.Sprintf("%s is below the floor %s that %s sets", pkg, short(floor), by)
	case below:
		d.Reason = ReasonRollbackFloor
		d.Text = fmt.Sprintf("%s is below the floor %s that was set for it", pkg, short(floor))
	case l.belowAdvised(e) && l.Advised.FloorBy != "":
		d.Reason = ReasonRollbackFloor
		d.Text = fmt.Sprintf("%s is below the floor %s that %s sets", pkg, short(l.Advised.EVR), l.Advised.FloorBy)
	case l.belowAdvised(e):
		d.Reason = ReasonAdvisory
		d.Text = fmt.Sprintf("%s is below %s: %s", pkg, short(l.Advised.EVR), l.Advised.Text)
	case l.Multi && l.Older(e):
		d.Reason = ReasonRollbackRetired
		d.Text = fmt.Sprintf("%s is not newer than %s, which was removed from here", pkg, short(l.Retired))
	case l.Older(e):
		d.Reason = ReasonRollback
		d.Text = fmt.Sprintf("%s is older than %s, which was active here", pkg, short(l.High))
	default:
		return d
	}
	d.Verdict = rollback(m)
	d.Text += fmt.Sprintf(permitOnce, pkg)
	return d
}

// short omits an epoch of 0, as rpm does when it prints.
func short(e nevra.EVR) string {
	s := e.String()
	if e.Epoch == 0 && len(s) > 2 {
		return s[2:]
	}
	return s
}
