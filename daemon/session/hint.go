// SPDX-License-Identifier: Apache-2.0

package session

import (
	"github.com/digestd/digestd/hooks/wire"
)

// hint takes a package manager's word that packages may have changed.
func (s *Session) hint(m *wire.Hint) error {
	dev, ino, err := s.Root.ID()
	if err != nil || dev != m.RootDev || ino != m.RootIno {
		s.log.Debug("hint not about packages kept here", "from", m.Plugin)
		return nil
	}
	s.log.Debug("hint", "from", m.Plugin)
	s.Reconciler.LookAgain()
	return nil
}
