// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"maps"

	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store/record"
)

// SetOwn records an own list and queues it for the next commit.
func (s *Grounds) SetOwn(o record.Own) {
	own := maps.Clone(s.Own) // snapshots share it
	if own == nil {
		own = map[string]record.Own{}
	}
	own[o.Name] = o
	s.Own = own
	s.Queue.Batch.PutOwn(o)
}

// OwnEntry returns the entry of an own list, nil if it has none.
func (s *Grounds) OwnEntry(name string) *view.Entry {
	if e := s.ByName[s.Own[name].List]; e != nil && e.Own == name {
		return e
	}
	return nil
}
