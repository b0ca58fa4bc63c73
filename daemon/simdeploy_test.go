// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"strconv"

	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/kernel/deployment"
)

// simSystems are the two installed systems of a machine. They share the state of digestd, and
// each has a list directory of its own.
type simSystems struct {
	runs  int               // which of them the machine runs
	other map[string][]byte // the lists of the other one
}

func (s *simSystems) booted() (deployment.Deployment, error) {
	id := strconv.Itoa(s.runs)
	return deployment.Deployment{Kind: deployment.Btrfs, ID: id, Name: "system " + id}, nil
}

func (m *simMachine) Copy() { m.systems.other = m.lists.All() }

func (m *simMachine) Boot() {
	m.systems.runs = 1 - m.systems.runs
	now := m.lists.All()
	for name := range now {
		m.lists.Unlink(name)
	}
	for name, data := range m.systems.other {
		m.lists.Put(name, data)
	}
	m.systems.other = now
	m.lists = nil // of another system, where all is on the disk
	m.Reboot()
}

func (m *simMachine) Retained(refuse bool) error {
	if m.config.DeploymentRollback = config.DeploymentReport; refuse {
		m.config.DeploymentRollback = config.DeploymentRefuse
	}
	return m.after(m.d.reconfigure(m.ctx(), func() (config.Config, error) { return m.config, nil }))
}
