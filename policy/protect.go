// SPDX-License-Identifier: Apache-2.0

package policy

// AlwaysProtected has patterns of the names of packages that a machine needs to boot and to be
// repaired. Neither a policy file nor an advisory withdraws their lists.
var AlwaysProtected = []string{
	"kernel", "kernel-*", "glibc", "glibc-*", "systemd", "systemd-*", "rpm", "rpm-*", "dnf", "dnf5", "libdnf*", "zypper", "libzypp", "digestd", "digestd-*",
}
