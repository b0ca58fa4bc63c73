// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/digestd/digestd/kernel/guard"
)

// SetExemptions replaces the exemptions. Those that are in both sets stay in force meanwhile.
// After an error there are no exemptions.
func (s *Set) SetExemptions(to guard.Exemptions) error {
	if len(to.Cgroups) > 0 && to.Namespace == 0 {
		return errors.Join(errors.New("cannot change exemptions: the host's mount namespace is not known"), s.noExemptions())
	}
	if len(to.Cgroups) == 0 {
		if err := s.noExemptions(); err != nil {
			return err
		}
		to = guard.Exemptions{}
	}
	// The host's mounts are added before any cgroup that came with them.
	err := refill(s.maps[guardMapHostMounts], to.Mounts)
	if err == nil {
		err = refill(s.maps[guardMapExemptCgroups], to.Cgroups)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("cannot change exemptions: %w", err), s.noExemptions())
	}
	if len(to.Cgroups) == 0 {
		return nil
	}
	c, err := s.control()
	if err != nil {
		return err
	}
	c.Exempt, c.HostMnt = 1, to.Namespace
	return s.setControl(c)
}

// noExemptions ends all exemptions at once.
func (s *Set) noExemptions() error {
	c, err := s.control()
	if err != nil || c.Exempt == 0 {
		return err
	}
	c.Exempt = 0
	return s.setControl(c)
}

// refill makes keys the contents of a map. It adds before it removes.
func refill[K comparable](m *ebpf.Map, keys []K) error {
	gone := map[K]bool{}
	var key K
	var value uint32
	all := m.Iterate()
	for all.Next(&key, &value) {
		gone[key] = true
	}
	if err := all.Err(); err != nil {
		return err
	}
	for _, key := range keys {
		if gone[key] {
			delete(gone, key)
			continue
		}
		if err := m.Update(key, uint32(1), ebpf.UpdateAny); err != nil {
			return err
		}
	}
	for key := range gone {
		if err := m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
	}
	return nil
}
