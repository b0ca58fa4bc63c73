// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// activeLSMs is the file with the names of the active security modules.
const activeLSMs = "/sys/kernel/security/lsm"

// Kernel has the properties of a kernel that the guard depends on.
type Kernel struct {
	LSMs      string // the active security modules, joined by commas
	execCheck bool   // AT_EXECVE_CHECK
	overlay   overlay
}

// overlay says what a file of overlayfs has in private_data, as in records.h.
type overlay uint32

const (
	overlayUnknown overlay = iota // such a file is hashed every time
	overlayFile
	overlayStruct
)

// ErrUnsuited is wrapped by errors that say why the guard cannot run on a kernel.
var ErrUnsuited = errors.New("the kernel cannot have the guard")

// Probe checks whether the running kernel has what the guard needs. It changes nothing, and
// never compares versions.
func Probe() (*Kernel, error) { return probe(btf.NewCache()) }

func probe(cache *btf.Cache) (*Kernel, error) {
	lsms, err := os.ReadFile(activeLSMs)
	if err != nil {
		return nil, fmt.Errorf("%w: cannot read the active security modules: %w", ErrUnsuited, err)
	}
	k := &Kernel{LSMs: strings.TrimSpace(string(lsms))}
	// Without the BPF LSM, inode storage would overwrite data of other modules.
	if !slices.Contains(strings.Split(k.LSMs, ","), "bpf") {
		return k, fmt.Errorf("%w: bpf is not an active security module (%s)", ErrUnsuited, k.LSMs)
	}
	types, err := cache.Kernel()
	if err != nil {
		return k, fmt.Errorf("%w: it does not describe its types: %w", ErrUnsuited, err)
	}
	for symbol, why := range map[string]string{
		"bpf_ima_file_hash": "it has no helper that hashes files",
		// Without this the kernel skips a program while it sleeps on the same processor.
		"__bpf_prog_enter_sleepable_recur": "it skips programs that sleep",
	} {
		var f *btf.Func
		if err := types.TypeByName(symbol, &f); err != nil {
			return k, fmt.Errorf("%w: %s (%s)", ErrUnsuited, why, symbol)
		}
	}
	k.execCheck = hasMember(types, "linux_binprm", "is_check")
	k.overlay = overlayLayout(cache, types)
	return k, nil
}

// overlayLayout finds out where files of overlayfs refer to the file below. Types of the module
// are available once it is loaded.
func overlayLayout(cache *btf.Cache, types *btf.Spec) overlay {
	if hasMember(types, "ovl_file", "realfile") {
		return overlayStruct
	}
	module, err := cache.Module("overlay")
	switch {
	case err != nil:
		return overlayUnknown
	case hasMember(module, "ovl_file", "realfile"):
		return overlayStruct
	case hasMember(module, "ovl_inode", "lock"):
		return overlayFile
	}
	return overlayUnknown
}

// hasMember reports whether a struct has a field of that name.
func hasMember(types *btf.Spec, name, field string) bool {
	var s *btf.Struct
	if types.TypeByName(name, &s) != nil {
		return false
	}
	return slices.ContainsFunc(s.Members, func(m btf.Member) bool { return m.Name == field })
}
