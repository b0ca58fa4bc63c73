// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
)

// A daemon that judges nothing says so, and does nothing.
func TestStandby(t *testing.T) {
	_, private := serve(t, Standby(func() api.Status {
		return api.Status{Waiting: true, Problems: []api.Problem{{ID: "standby", Severity: api.SeverityError, Text: "the index is locked"}}}
	}))
	p := connect(t, private)
	p.must("Status")
	p.must("Keys", uint32(0), uint32(0))
	for _, call := range [][]any{
		{"Lists", "", uint32(0), uint32(0)}, {"Why", "/usr/bin/true"}, {"Sync"}, {"FloorSet", "a", "1-1", "why"}, {"RollbackLog", uint32(0), uint32(0)},
	} {
		if text := p.refused("Busy", call[0].(string), call[1:]...); !strings.Contains(text, "the index is locked") {
			t.Errorf("%v is refused without the cause: %s", call, text)
		}
	}
	var state string
	if err := p.conn.Object(api.BusName, api.Path).StoreProperty(api.Interface+".State", &state); err != nil || state != api.Degraded {
		t.Errorf("state is %q (%v)", state, err)
	}
}
