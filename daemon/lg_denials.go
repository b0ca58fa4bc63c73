// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"maps"
	"slices"

	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// setDenial records a denial and queues it for the next commit.
func (s *state) setDenial(d record.Denial) {
	s.denied = maps.Clone(s.denied)
	s.denied[d.ID] = d
	s.queue.batch.PutDenial(d)
}

func (s *state) dropDenial(id string) {
	s.denied = maps.Clone(s.denied)
	delete(s.denied, id)
	s.queue.batch.DeleteDenial(id)
}

// owners are the denials of this index, by ID.
func (s *state) owners() (list []policy.Denial) {
	for _, id := range slices.Sorted(maps.Keys(s.denied)) {
		if p, err := view.PolicyDenial(s.denied[id]); err == nil {
			list = append(list, p)
		}
	}
	return list
}

// expireDenials ends those whose time is over.
func (s *state) expireDenials() {
	now, ended := s.now(), 0
	for id, d := range s.denied {
		if p := (policy.Denial{Expires: d.Expires}); !p.Expired(now) {
			continue
		}
		ended++
		s.dropDenial(id)
		what := ""
		if p, err := view.PolicyDenial(d); err == nil {
			what = p.Subject()
		}
		s.event(record.Event{Kind: audit.KindDenialExpired, Package: what, Text: d.Reason})
		s.after(func(o observer) { o.DenialLifted(id, what, "expired") })
	}
	if ended > 0 {
		s.compileDenials()
	}
}
