// SPDX-License-Identifier: Apache-2.0

// Package guard describes the guard: programs in the kernel (BPF LSM) that let
// contents run which an active list holds, and no others. It has the words and
// records that the kernel, the program that loads the guard and digestd share.
//
// It promises that parsing a record never panics, whatever its bytes are, and
// that the layouts are those of bpf/c/records.h; a test holds them together. It
// loads nothing and asks the kernel nothing: package bpf below it does, which
// only digestd-guard links.
package guard
