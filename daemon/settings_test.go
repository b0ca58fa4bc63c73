// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"testing"

	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/store/record"
)

// TestStateIsWired: what the configuration asks for reaches the state that serves.
func TestStateIsWired(t *testing.T) {
	for _, test := range []struct {
		trail string
		waits bool
	}{{"system", true}, {"none", false}} {
		c := testConfig(t)
		c.AuditTrail = test.trail
		d, stop := serve(t, c)
		err := d.on(t, func(s *ledger.Ledger) error {
			if s.Waits != test.waits {
				t.Errorf("audit-trail %q: the log waits for the journal: %v", test.trail, s.Waits)
			}
			if d.Exec.Units.Of == nil {
				t.Error("nobody tells the unit of a process")
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		stop()
	}
}

// TestReloadReachesAll: after a reload lists are named and judged by one setting.
func TestReloadReachesAll(t *testing.T) {
	c := testConfig(t)
	d, stop := serve(t, c)
	defer stop()
	pkg := nevra.NEVRA{Name: "python3", EVR: nevra.EVR{Version: "2", Release: "1"}, Arch: "noarch"}
	err := d.Exec.Decide(t.Context(), "order", func(s *ledger.Ledger) error {
		return s.SetOrder(map[string]uint32{"tlv-python3-0:1-1.noarch": 7}, "test", record.Act{})
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, multi := range []bool{true, false} {
		if c.MultiVersion = nil; multi {
			c.MultiVersion = []string{"python3*"}
		}
		if err := d.adopt(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		// A number goes on to the next version only where versions follow each other.
		want := "7-tlv-python3-0:2-1.noarch"
		if multi {
			want = "tlv-python3-0:2-1.noarch"
		}
		name, err := d.Builder.Load().NameOf(pkg, false)
		if err != nil || name != want {
			t.Errorf("multiversion %v: the maker names it %s, %v", multi, name, err)
		}
		d.on(t, func(s *ledger.Ledger) error {
			if got := s.Order.NameOf("tlv-python3-0:2-1.noarch", pkg, false); got != want {
				t.Errorf("multiversion %v: the state names it %s", multi, got)
			}
			if got := s.PolicyLine(view.LineOf(pkg)).Multi; got != multi {
				t.Errorf("multiversion %v: policy has %v", multi, got)
			}
			return nil
		})
	}
}
