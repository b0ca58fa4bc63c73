// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/digestd/digestd/kernel/guard"
)

// hostNamespace is the mount namespace of this program, which is the first.
func hostNamespace() uint32 {
	var host unix.Stat_t
	must(unix.Stat("/proc/self/ns/mnt", &host))
	return uint32(host.Ino)
}

// contained runs what a container does: /init contain mounts a file system of its own,
// puts a program there that no list holds, and runs it.
func contained(group string, namespace bool) error {
	dir, err := os.Open(group)
	must(err)
	defer dir.Close()
	cmd := exec.Command("/init", "contain")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	if namespace {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNS
	}
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), "operation not permitted") {
		return refused
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// contain is the process in the container.
func contain() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("test", "/t/container", "tmpfs", 0, ""); err != nil {
		return err
	}
	defer unix.Unmount("/t/container", unix.MNT_DETACH)
	if err := os.WriteFile("/t/container/tool", append(tiny(), "container"...), 0o755); err != nil {
		return err
	}
	return run("/t/container/tool")
}

// exemptions: a container runs files of its own, and nobody else does.
func (m *machine) exemptions() {
	const groups = "/sys/fs/cgroup/containers"
	must(os.MkdirAll(groups+"/one/inner", 0o755))
	must(os.MkdirAll("/sys/fs/cgroup/others", 0o755))
	must(os.MkdirAll("/t/container", 0o755))
	m.check("no exemption: refused", refused, contained(groups+"/one/inner", true))
	var info unix.Stat_t
	must(unix.Stat(groups, &info))
	var host unix.Stat_t
	must(unix.Stat("/t", &host))
	device := uint32(unix.Major(host.Dev)<<20 | unix.Minor(host.Dev))
	must(m.set.SetExemptions(guard.Exemptions{Cgroups: []uint64{info.Ino}, Mounts: []uint32{device}, Namespace: hostNamespace()}))
	m.check("a container of the exempted group: runs", nil, contained(groups+"/one/inner", true))
	m.check("of another group: refused", refused, contained("/sys/fs/cgroup/others", true))
	m.check("with the host's mounts: refused", refused, contained(groups+"/one/inner", false))
	program("/t/tool", "exempt")
	cmd := exec.Command("/t/tool")
	dir, err := os.Open(groups + "/one/inner")
	must(err)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd()), Cloneflags: syscall.CLONE_NEWNS}
	m.check("a file of the host in a container: refused", refused, cmd.Run())
	dir.Close()
	counts, err := m.set.Counts()
	must(err)
	if counts.Exempted > 0 {
		m.ok("exemptions are counted")
	} else {
		m.failed("exemptions are counted", fmt.Sprintf("%+v", counts))
	}
	must(m.set.SetExemptions(guard.Exemptions{}))
	m.check("no exemption any more: refused", refused, contained(groups+"/one/inner", true))
}
