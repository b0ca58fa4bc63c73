// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"

	"github.com/digestd/digestd/digestlist/nevra"
)

// permitOnce is the advice at the end of the text of a rollback.
const permitOnce = "; to permit it once: digestctl rollback grant %s --reason WHY"

// Admit decides whether pkg, of line l, may have an active list. In order:
//
//   - what is denied may not, whatever else speaks for it;
//   - what is active already stays, but for what a floor was set above since, and
//     what was withdrawn because it is below what advisories say is mended;
//   - while it is in doubt whether the line knows all that was decided, what is older
//     than what is installed is a rollback, and no grant counts;
//   - what the owner granted may come;
//   - what is below a floor, or below what advisories say is mended, is a rollback;
//   - of a multi-version package, what is not above all that was retired is a
//     rollback; of any other, what is below the highest that was ever active;
//   - the rest may come.
//
// Mode says what becomes of a rollback.
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

// short leaves out an epoch of 0, as rpm does when it prints.
func short(e nevra.EVR) string {
	s := e.String()
	if e.Epoch == 0 && len(s) > 2 {
		return s[2:]
	}
	return s
}
