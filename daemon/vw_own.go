// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"strings"

	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/nevra"
)

const ownPrefix = "own:"

// parseOwn reads what ownPackage names.
func parseOwn(text string) (pkg nevra.NEVRA, own bool, err error) {
	rest, own := strings.CutPrefix(text, ownPrefix)
	if !own {
		return pkg, false, nil
	}
	if pkg, err = nevra.Parse(rest); err == nil {
		_, err = digestlist.OwnName(pkg.Name)
	}
	pkg.Name = ownPrefix + pkg.Name
	return pkg, true, err
}
