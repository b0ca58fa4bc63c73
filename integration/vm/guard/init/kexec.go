// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/digestd/digestd/kernel/guard"
)

// kexec: a kernel that no list holds is refused where the owner wants that, and one that a
// list holds starts in the place of this one. It reports what is left, and ends.
func (m *machine) kexec() {
	const image = "/vmlinuz"
	must(os.WriteFile("/t/initrd", archive("/init"), 0o600))
	line := "console=ttyS0 quiet panic=-1 digestd.test=kexeced digestd.count="
	load := func() error {
		kernel, err := os.Open(image)
		must(err)
		defer kernel.Close()
		initrd, err := os.Open("/t/initrd")
		must(err)
		defer initrd.Close()
		return unix.KexecFileLoad(int(kernel.Fd()), int(initrd.Fd()), line+strconv.Itoa(m.count+2), 0)
	}
	m.check("modules audited: another kernel is loaded", nil, load())
	m.equal("and told of", fmt.Sprint(guard.KernelRead, guard.Unlisted), fmt.Sprint(m.last(image)))
	must(m.set.SetSettings(guard.Settings{Mode: guard.Enforce, Modules: guard.Enforce}))
	m.check("modules enforced: it is refused", refused, load())
	m.check("as bytes, too", refused, loadBytes())
	m.admit(digestOf(image))
	m.check("listed: it is loaded", nil, load())
	unix.Sync()
	time.Sleep(100 * time.Millisecond) // for the serial line
	must(unix.Reboot(unix.LINUX_REBOOT_CMD_KEXEC))
}

// kexeced: this is the kernel that another one started.
func (m *machine) kexeced() {
	n, err := strconv.Atoi(parameter("digestd.count", ""))
	must(err)
	m.count = n - 1
	m.ok("the kernel that a list holds was started")
}

// loadBytes loads a kernel as `kexec -c` does, by kexec_load(2).
func loadBytes() error {
	page := make([]byte, 4096)
	segment := struct {
		buf   unsafe.Pointer
		size  uintptr
		mem   uintptr
		msize uintptr
	}{unsafe.Pointer(&page[0]), 4096, 16 << 20, 4096}
	_, _, errno := unix.Syscall6(unix.SYS_KEXEC_LOAD, 16<<20, 1, uintptr(unsafe.Pointer(&segment)), 62<<16, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// archive packs a file as the kernel unpacks an initrd (newc).
func archive(path string) []byte {
	content, err := os.ReadFile(path)
	must(err)
	var b bytes.Buffer
	pad := func() {
		for b.Len()%4 != 0 {
			b.WriteByte(0)
		}
	}
	for _, f := range []struct {
		name    string
		mode    int
		content []byte
	}{{"init", 0o100755, content}, {"TRAILER!!!", 0, nil}} {
		fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", 1, f.mode, 0, 0, 1, 0, len(f.content), 0, 0, 0, 0, len(f.name)+1, 0)
		b.WriteString(f.name + "\x00")
		pad()
		b.Write(f.content)
		pad()
	}
	return b.Bytes()
}
