// SPDX-License-Identifier: Apache-2.0

// Package guard describes the guard: BPF LSM programs in the kernel that let only contents run
// which an active list has. It defines the modes and records that the kernel, the program that
// loads the guard and digestd share.
//
// Parsing a record never panics, whatever its bytes are. The layouts are those of
// bpf/c/records.h; a test compares them. The package loads nothing and makes no system call:
// package bpf below it does, which only digestd-guard links.
package guard
