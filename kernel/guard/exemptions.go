// SPDX-License-Identifier: Apache-2.0

package guard

// Exemptions let containers run files of their own: of cgroups that the owner named, in
// a mount namespace that is not the host's, from file systems that the host has not
// mounted. All three have to hold. That a user other than root cannot make processes members of
// such a cgroup is for the caller to see to.
type Exemptions struct {
	Cgroups   []uint64 // their numbers, which are the inodes of their directories; none: nothing is exempt
	Mounts    []uint32 // devices of what the host has mounted: major number << 20 | minor number
	Namespace uint32   // the host's mount namespace, which is the inode of /proc/1/ns/mnt
}

// The most that the kernel's maps take.
const (
	MaxExemptCgroups = 256
	MaxHostMounts    = 4096
)
