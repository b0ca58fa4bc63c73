// SPDX-License-Identifier: Apache-2.0

package view_test

import (
	"testing"

	"github.com/digestd/digestd/daemon/view"
)

func TestHitBy(t *testing.T) {
	r := &view.Refs{Digests: []uint64{1, 5, 5, 9}}
	for _, tc := range []struct {
		heads []uint64
		hit   bool
	}{{nil, false}, {[]uint64{5}, true}, {[]uint64{2, 3, 4, 6, 7, 8}, false}, {[]uint64{0, 2, 3, 4, 6, 7, 9}, true}} {
		if r.HitBy(tc.heads) != tc.hit {
			t.Errorf("%v: not %v", tc.heads, tc.hit)
		}
	}
	if (*view.Refs)(nil).HitBy([]uint64{1}) || (&view.Refs{}).HitBy([]uint64{1}) {
		t.Error("nothing is hit")
	}
}
