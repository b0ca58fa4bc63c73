// SPDX-License-Identifier: Apache-2.0

package query

import (
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/store/record"
)

// A filter selects by all that it names.
func TestSelects(t *testing.T) {
	uid := uint32(5)
	e := record.Event{Seq: 3, When: time.Unix(100, 0), Kind: "rollback-refused", Package: "bash-0:5.2-1.x86_64", List: "tlv-bash", Key: "AABBccdd", UID: 5}
	for _, c := range []struct {
		filter api.LogFilter
		want   bool
	}{
		{api.LogFilter{}, true},
		{api.LogFilter{Kind: "rollback-*", Package: "bash", List: "tlv-*", Key: "ccdd", UID: &uid, Since: time.Unix(100, 0), Until: time.Unix(101, 0)}, true},
		{api.LogFilter{Package: "bash.x86_64"}, true},
		{api.LogFilter{Package: "bash-5.2-1.x86_64"}, true},
		{api.LogFilter{Package: "bash-0:5.2-1.x86_64"}, true},
		{api.LogFilter{Package: "ba"}, false},
		{api.LogFilter{Kind: "refused"}, false},
		{api.LogFilter{List: "bash"}, false},
		{api.LogFilter{Key: "aabb"}, false},
		{api.LogFilter{UID: new(uint32)}, false},
		{api.LogFilter{Since: time.Unix(101, 0)}, false},
		{api.LogFilter{Until: time.Unix(100, 0)}, false},
	} {
		if got := selects(&c.filter, &e); got != c.want {
			t.Errorf("%+v: got %v", c.filter, got)
		}
	}
	floor := record.Event{Kind: "floor-set", Package: "python3.11.x86_64"}
	if !selects(&api.LogFilter{Package: "python3.11"}, &floor) {
		t.Error("a floor is not found by the name of its package")
	}
	if selects(&api.LogFilter{Package: "*"}, &record.Event{Kind: "verified"}) {
		t.Error("an entry about no package is found by the pattern of every package")
	}
	if selects(&api.LogFilter{Key: "dd"}, &record.Event{Kind: "verified"}) {
		t.Error("an entry about no key is found by the end of one")
	}
}
