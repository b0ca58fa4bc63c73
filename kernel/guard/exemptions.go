// SPDX-License-Identifier: Apache-2.0

package guard

// Exemptions let containers run files of their own: processes in cgroups that the owner named,
// in a mount namespace other than the host's, with files from file systems that the host has not
// mounted. All three conditions must hold. The caller ensures that no user but root can put
// processes into such a cgroup.
type Exemptions struct {
	Cgroups   []uint64 // inodes of the directories; none: nothing is exempt
	Mounts    []uint32 // devices of the host's mounts: major number << 20 | minor number
	Namespace uint32   // inode of the host's mount namespace (/proc/1/ns/mnt)
}

// Limits of the kernel's maps.
const (
	MaxExemptCgroups = 256
	MaxHostMounts    = 4096
)
