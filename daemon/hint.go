// SPDX-License-Identifier: Apache-2.0

package daemon

import "github.com/digestd/digestd/hooks/wire"

// hint takes a package manager's word that packages may have changed.
func (s *session) hint(m *wire.Hint) error {
	dev, ino, err := s.root.ID()
	if err != nil || dev != m.RootDev || ino != m.RootIno {
		s.log.Debug("hint not about packages kept here", "from", m.Plugin)
		return nil
	}
	s.log.Debug("hint", "from", m.Plugin)
	s.reconciler.lookAgain()
	return nil
}

// PackagesAnnounced is called when rpm announced on the bus that a transaction
// ended.
func (ss *Sessions) PackagesAnnounced() {
	ss.log.Debug("hint", "from", "rpm, on the bus")
	ss.reconciler.lookAgain()
}

// lookAgain makes the watcher compare rpm's database with what was reconciled
// last, as after a transaction. It is a hint, so it costs next to nothing when
// nothing has changed.
func (rc *Reconciler) lookAgain() {
	select {
	case rc.rested <- struct{}{}:
	default:
	}
}
