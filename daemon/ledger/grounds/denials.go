// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"maps"
	"slices"

	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// SetDenial records a denial and queues it for the next commit.
func (s *Grounds) SetDenial(d record.Denial) {
	s.Denied = maps.Clone(s.Denied)
	s.Denied[d.ID] = d
	s.Decided(true)
	s.Queue.Batch.PutDenial(d)
}

func (s *Grounds) DropDenial(id string) {
	s.Denied = maps.Clone(s.Denied)
	delete(s.Denied, id)
	s.Decided(true)
	s.Queue.Batch.DeleteDenial(id)
}

// Owners are the denials of this index, by ID.
func (s *Grounds) Owners() (list []policy.Denial) {
	for _, id := range slices.Sorted(maps.Keys(s.Denied)) {
		if p, err := view.PolicyDenial(s.Denied[id]); err == nil {
			list = append(list, p)
		}
	}
	return list
}

// ExpireDenials ends the denials that have expired.
func (s *Grounds) ExpireDenials() {
	now, ended := s.Now(), 0
	for id, d := range s.Denied {
		if p := (policy.Denial{Expires: d.Expires}); !p.Expired(now) {
			continue
		}
		ended++
		s.DropDenial(id)
		what := ""
		if p, err := view.PolicyDenial(d); err == nil {
			what = p.Subject()
		}
		s.Event(record.Event{Kind: audit.KindDenialExpired, Package: what, Text: d.Reason})
		s.After(func(o state.Observer) { o.DenialLifted(id, what, "expired") })
	}
	if ended > 0 {
		s.CompileDenials()
	}
}
