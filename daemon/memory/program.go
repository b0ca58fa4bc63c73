// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// unmapProgram makes the kernel unmap the code of this program, most of which runs only at the
// start. The kernel maps pages again when they are needed. Errors are ignored: the memory stays
// in use.
func unmapProgram() {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(maps)) {
		// start-end, permissions, offset, device, inode, path (proc(5))
		f := strings.Fields(line)
		if len(f) < 6 || f[1] != "r-xp" || f[4] == "0" {
			continue
		}
		first, last, _ := strings.Cut(f[0], "-")
		start, err := strconv.ParseUint(first, 16, 64)
		end, eerr := strconv.ParseUint(last, 16, 64)
		if err == nil && eerr == nil {
			unix.Syscall(unix.SYS_MADVISE, uintptr(start), uintptr(end-start), unix.MADV_DONTNEED)
		}
	}
}
