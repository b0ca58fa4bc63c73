// SPDX-License-Identifier: Apache-2.0

package bpf

// The objects are committed, so that building digestd needs no clang. Paths of the
// machine do not get into them; a test builds them anew and compares.
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-19 -strip llvm-strip-19 -go-package bpf -no-global-types -target bpfel,bpfeb guard c/guard.bpf.c -- -O2 -g -mcpu=v3 -Wall -Werror -fno-ident -ffile-prefix-map=/=
