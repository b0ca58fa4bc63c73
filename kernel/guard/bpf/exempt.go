// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Exemptions let containers run files of their own: of cgroups that the owner named, in
// a mount namespace that is not the host's, from file systems that the host has not
// mounted. All three have to hold. That a user other than root cannot make processes members of
// such a cgroup is for the caller to see to.
type Exemptions struct {
	Cgroups []uint64 // their numbers, which are the inodes of their folders; at most 256
	Mounts  []uint32 // devices of what the host has mounted, as the kernel has them; at most 4096
}

// SetExemptions puts exemptions in the place of those that are in force. While it works
// there are none.
func (s *Set) SetExemptions(to Exemptions) error {
	c, err := s.control()
	if err != nil {
		return err
	}
	c.Exempt = 0
	if err := s.setControl(c); err != nil {
		return err
	}
	if err := refill(s.maps[guardMapExemptCgroups], to.Cgroups); err != nil {
		return fmt.Errorf("cannot change exemptions: %w", err)
	}
	if err := refill(s.maps[guardMapHostMounts], to.Mounts); err != nil {
		return fmt.Errorf("cannot change exemptions: %w", err)
	}
	if len(to.Cgroups) == 0 {
		return nil
	}
	var host unix.Stat_t
	if err := unix.Stat("/proc/1/ns/mnt", &host); err != nil {
		return &os.PathError{Op: "cannot tell which mounts are the host's: stat", Path: "/proc/1/ns/mnt", Err: err}
	}
	c.Exempt, c.HostMnt = 1, uint32(host.Ino)
	return s.setControl(c)
}

// refill makes keys all that a map has.
func refill[K comparable](m *ebpf.Map, keys []K) error {
	var old []K
	var key K
	var value uint32
	for all := m.Iterate(); all.Next(&key, &value); {
		old = append(old, key)
	}
	for _, key := range old {
		if err := m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
	}
	for _, key := range keys {
		if err := m.Update(key, uint32(1), ebpf.UpdateAny); err != nil {
			return err
		}
	}
	return nil
}
