// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Algorithm names the algorithm of an asymmetric key in the form used for keys of packages, such
// as rsa2048 or nistp256; "" if the kernel does not tell. It queries the key itself, because
// /proc/keys is not reliable.
func (k Key) Algorithm() string {
	if k.Type != "asymmetric" {
		return ""
	}
	for _, a := range []struct{ name, use string }{
		{"rsa", "enc=pkcs1 hash=sha256"},
		{"nistp", "enc=x962 hash=sha256"},
	} {
		if bits := k.bits(a.use); bits > 0 {
			return fmt.Sprintf("%s%d", a.name, bits)
		}
	}
	return ""
}

// bits returns the size of a key that supports that use, otherwise 0.
func (k Key) bits(use string) uint32 {
	info, err := unix.BytePtrFromString(use)
	if err != nil {
		return 0
	}
	var answer struct { // keyctl_pkey_query
		ops, size uint32
		_         [14]uint32
	}
	_, _, errno := unix.Syscall6(unix.SYS_KEYCTL, unix.KEYCTL_PKEY_QUERY, uintptr(k.ID), 0,
		uintptr(unsafe.Pointer(info)), uintptr(unsafe.Pointer(&answer)), 0)
	if errno != 0 {
		return 0
	}
	return answer.size
}

// Kinds returns the kind of each asymmetric key, such as rsa, from /proc/keys, for keys that
// cannot be queried. Use it for display only.
func (ks *Keyrings) Kinds() map[int]string {
	kinds := map[int]string{}
	f, err := os.Open(ks.proc)
	if err != nil {
		return kinds
	}
	defer f.Close()
	eachProcKey(f, func(k procKey) bool {
		// The description, ": X509.", the kind, and parts that do not matter.
		if i := strings.LastIndex(k.rest, ": X509."); i >= 0 && strings.HasPrefix("asymmetric", k.kind) {
			kinds[k.id], _, _ = strings.Cut(k.rest[i+len(": X509."):], " ")
		}
		return false
	})
	return kinds
}
