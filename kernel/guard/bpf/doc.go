// SPDX-License-Identifier: Apache-2.0

// Package bpf loads the guard into the kernel and manages its maps. [Load] replaces the set of
// programs, [Set] changes the data of the programs, and [Probe] reports whether a kernel has
// what they need.
//
// A loaded set stays active when the process ends. While a set is replaced, one of the two is
// always active. A set with new maps never enforces before the caller says so. Programs and maps
// are pinned below one directory of a BPF file system; removing the directory unloads the guard.
//
// The package needs CAP_BPF and CAP_PERFMON. The caller ensures that only one process at a time
// changes a set, and decides whether to enforce.
package bpf
