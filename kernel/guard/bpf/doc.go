// SPDX-License-Identifier: Apache-2.0

// Package bpf loads the guard into the kernel and keeps its maps. [Load] puts a
// set of programs in the place of the one that is there, [Set] changes what the
// programs know, [Probe] says whether a kernel has what they need.
//
// It promises that a set that is loaded goes on when the process ends, that there
// is no instant without one while another takes its place, and that a set whose maps are
// new never enforces before its caller says so. Programs and maps are pinned below one
// folder of a BPF file system; to remove the folder is to turn the guard off.
//
// It needs CAP_BPF and CAP_PERFMON and leaves to its caller that only one process
// at a time changes a set, and whether it is wise to enforce.
package bpf
