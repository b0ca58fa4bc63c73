// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/integration/pkgtest"
	"golang.org/x/sys/unix"
)

// snapshots is a machine whose root is a subvolume of btrfs, one of several, and which keeps
// its state outside of them: as snapper has it. It stands in for rpm-ostree and bootc, too: there
// the kernel names a directory in the place of a subvolume.
type snapshots struct {
	*machine
	top   string // where all subvolumes are
	boots int
}

func newSnapshots(t *testing.T) *snapshots {
	exec.Command("modprobe", "-q", "btrfs").Run() // where it is built in, there is no module
	if known, err := os.ReadFile("/proc/filesystems"); err != nil || !strings.Contains(string(known), "\tbtrfs\n") {
		t.Skipf("this kernel has no btrfs (%v)", err)
	}
	m := &snapshots{machine: newMachine(t)}
	m.top = m.In("top")
	image := m.In("image")
	for _, args := range [][]string{{"truncate", "-s", "128M", image}, {"mkfs.btrfs", "-q", image}, {"mkdir", m.top}, {"mount", "-o", "loop", image, m.top}} {
		m.run(args...)
	}
	t.Cleanup(func() { m.run("umount", m.top) })
	m.run("btrfs", "-q", "subvolume", "create", filepath.Join(m.top, "one"))
	t.Cleanup(func() { unix.Unmount(m.Root.Dir, unix.MNT_DETACH) })

	m.ListDir = m.Path("etc/digest_lists")
	m.OK(os.Mkdir(m.ConfigFile()+".d", 0o755))
	m.OK(os.WriteFile(m.ConfigFile()+".d/root.conf", []byte("root = \"/\"\nlists = \"/etc/digest_lists\"\nlabels = false\n"), 0o644))
	m.boot("one")
	_, err := pkgtest.NewRoot(m.Root.Dir)
	m.OK(err)
	m.importKey("vendor")
	return m
}

func (m *snapshots) run(args ...string) {
	m.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		m.Fatalf("%q: %v\n%s", args, err, out)
	}
}

// boot ends digestd, and has the machine boot a subvolume.
func (m *snapshots) boot(subvolume string) {
	m.Helper()
	if m.Running() {
		m.Stop()
		m.run("umount", m.Root.Dir)
	}
	m.run("mount", "-o", "subvol="+subvolume, m.In("image"), m.Root.Dir)
	m.boots++
	boot := m.In("boot_id")
	m.OK(os.WriteFile(boot, fmt.Appendf(nil, "00000000-0000-4000-8000-%012d\n", m.boots), 0o644))
	for _, dir := range []string{"proc", "dev", "etc", os.TempDir()} {
		m.OK(os.MkdirAll(m.Path(dir), 0o755))
	}
	// The table of mounts that digestd sees begins at its root.
	m.Wrap = []string{"unshare", "--mount", "sh", "-ec", `root=$1 tmp=$2 boot=$3; shift 3
		mount -t proc proc "$root/proc"
		mount --bind "$boot" "$root/proc/sys/kernel/random/boot_id"
		mount --bind /dev "$root/dev"
		mount --bind "$tmp" "$root$tmp"
		exec chroot "$root" "$@"`, "sh", m.Root.Dir, os.TempDir(), boot}
}

// snapshot makes another subvolume of what the one has that is booted.
func (m *snapshots) snapshot(of, name string) {
	m.Helper()
	m.run("btrfs", "-q", "subvolume", "snapshot", filepath.Join(m.top, of), filepath.Join(m.top, name))
}

// TestSnapshotRollback: a machine that boots another snapshot is not taken for one whose lists
// somebody exchanged, and going back is reported, or refused where the owner says so.
func TestSnapshotRollback(t *testing.T) {
	m := newSnapshots(t)
	const hello1, hello2, other = "tlv-hello-0:1-1.noarch", "tlv-hello-0:2-1.noarch", "tlv-other-0:1-1.noarch"
	m.OK(m.Root.Run("-U", m.build("hello-1-1.noarch"), m.build("other-1-1.noarch")))
	m.Start()
	m.WantLists(hello1, other)
	if d := m.Status().Deployment; d.Kind != "btrfs" || !strings.HasPrefix(d.Name, "btrfs subvolume /one (ID ") || d.Former != "" || !d.Compared {
		t.Errorf("the deployment is %+v", d)
	}

	// An update into a new snapshot, as transactional-update makes it.
	m.snapshot("one", "two")
	m.boot("two")
	m.OK(m.Root.Run("-U", m.build("hello-2-1.noarch")))
	m.Start()
	m.WantLists(hello2, other)
	d := m.Status().Deployment
	if !strings.HasPrefix(d.Name, "btrfs subvolume /two") || !strings.HasPrefix(d.Former, "btrfs subvolume /one") || d.Older != 0 {
		t.Errorf("after an update the deployment is %+v", d)
	}
	m.Says(m.Must("log", "--kind", "deployment-changed"), "was booted into another deployment, btrfs subvolume /two")
	m.Exits(0, "status")

	// Back to a copy of the first, with the list directory as it was left there.
	m.snapshot("one", "three")
	m.boot("three")
	m.Start()
	m.WantLists(hello1, other)
	m.HasProblem("deployment-older", "booted into btrfs subvolume /three", "instead of btrfs subvolume /two", "1 package of it is older", "hello-1-1.noarch")
	m.Says(m.Exits(3, "status"), "deployment", "/three", "1 package is older than what was active here")
	m.Says(m.Must("log", "--kind", "deployment-older"), "went back to older packages by booting btrfs subvolume /three")
	if d := m.Status().Deployment; d.Older != 1 || d.Rollback != "report" || d.Waiting != 0 {
		t.Errorf("the deployment is %+v", d)
	}
	if log := m.Must("log"); strings.Contains(log, "tampered") || len(m.Quarantined()) > 0 {
		t.Errorf("it is called tampering: %q\n%s", m.Quarantined(), log)
	}
	m.Wholesome()

	// What was active is not forgotten: nothing older comes by a transaction.
	m.RPM("-e", "hello")
	m.RPMFails([]string{"older than 2-1, which was active here"}, "-U", m.build("hello-1-1.noarch"))
	m.RPM("-U", m.build("hello-2-1.noarch"))
	m.Solved("deployment-older")

	// The same where the owner refuses it, until the owner does not.
	m.Config = []string{`deployment-rollback = "refuse"`}
	m.snapshot("one", "four")
	m.boot("four")
	m.Start()
	m.WantLists(other)
	m.HasProblem("deployment-older", "booted into btrfs subvolume /four", "1 without a list")
	if d := m.Status().Deployment; d.Rollback != "refuse" || d.Waiting != 1 {
		t.Errorf("the deployment is %+v", d)
	}
	m.Config = []string{`deployment-rollback = "report"`}
	m.Prepare()
	m.Signal(unix.SIGHUP)
	m.Until("the list of the retained version is there", func() bool { return len(m.Names()) == 2 })
	m.WantLists(hello1, other)
	m.HasProblem("deployment-older", "/four")
}
