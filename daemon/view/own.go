// SPDX-License-Identifier: Apache-2.0

package view

import (
	"strings"

	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/nevra"
)

const OwnPrefix = "own:"

// ParseOwn reads what ownPackage names.
func ParseOwn(text string) (pkg nevra.NEVRA, own bool, err error) {
	rest, own := strings.CutPrefix(text, OwnPrefix)
	if !own {
		return pkg, false, nil
	}
	if pkg, err = nevra.Parse(rest); err == nil {
		_, err = digestlist.OwnName(pkg.Name)
	}
	pkg.Name = OwnPrefix + pkg.Name
	return pkg, true, err
}
