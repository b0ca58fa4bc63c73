// SPDX-License-Identifier: Apache-2.0

package deployment

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/integration/needs"
	"golang.org/x/sys/unix"
)

const (
	sum   = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	other = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
)

func TestParse(t *testing.T) {
	const (
		ext4 = "25 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"
		proc = "26 25 0:22 / /proc rw,nosuid shared:12 - proc proc rw\n"
	)
	cases := map[string]struct {
		table string
		want  Deployment
	}{
		"one system": {ext4 + proc, Deployment{}},
		"ostree": {"30 1 254:3 /ostree/deploy/os/deploy/" + sum + ".0 / rw,relatime shared:1 - xfs /dev/vda3 rw\n" +
			"31 30 254:3 /ostree/deploy/os/deploy/" + sum + ".0/usr /usr ro,relatime shared:2 - xfs /dev/vda3 rw\n" +
			"32 30 254:3 / /sysroot ro,relatime shared:3 - xfs /dev/vda3 rw\n" +
			"33 30 254:3 /ostree/deploy/os/var /var rw,relatime shared:4 - xfs /dev/vda3 rw\n" + proc,
			Deployment{OSTree, "os/" + sum + ".0", "ostree os 0123456789ab.0"}},
		"ostree in a btrfs subvolume": {"30 1 0:33 /root/ostree/deploy/os/deploy/" + sum + ".1 / rw shared:1 - btrfs /dev/vda3 rw,subvolid=256,subvol=/root\n",
			Deployment{OSTree, "os/" + sum + ".1", "ostree os 0123456789ab.1"}},
		"ostree below composefs": {"30 1 0:40 / / ro shared:1 - overlay composefs ro,lowerdir+=/run/ostree/.private/cfsroot-lower\n" +
			"31 30 254:3 /ostree/deploy/default/deploy/" + sum + ".0/etc /etc rw shared:2 - xfs /dev/vda3 rw\n" +
			"32 30 254:3 / /sysroot ro shared:3 - xfs /dev/vda3 rw\n",
			Deployment{OSTree, "default/" + sum + ".0", "ostree default 0123456789ab.0"}},
		"unlocked": {"30 1 254:3 /ostree/deploy/os/deploy/" + sum + ".0 / rw shared:1 - xfs /dev/vda3 rw\n" +
			"31 30 0:50 / /usr rw shared:2 - overlay overlay rw,lowerdir=usr\n",
			Deployment{OSTree, "os/" + sum + ".0", "ostree os 0123456789ab.0"}},
		"only composefs": {"30 1 0:40 / / ro shared:1 - overlay composefs:" + sum + " ro\n" +
			"31 30 254:3 /state/deploy/" + sum + sum + "/etc /etc rw shared:2 - xfs /dev/vda3 rw\n",
			Deployment{Composefs, sum + sum, "composefs 0123456789ab"}},
		"another deployment is mounted somewhere": {ext4 + "40 25 254:3 /ostree/deploy/os/deploy/" + other + ".0 /mnt rw - xfs /dev/vda3 rw\n", Deployment{}},
		"a directory of it is the root":           {"30 1 254:3 /ostree/deploy/os/deploy/" + sum + ".0/usr / rw - xfs /dev/vda3 rw\n", Deployment{}},
		"a name like one":                         {"30 1 254:3 /ostree/deploy/os/deploy/" + sum + ".0x / rw - xfs /dev/vda3 rw\n", Deployment{}},
		"container on such a machine": {"30 1 0:60 / / rw - overlay overlay rw,lowerdir=/a:/b\n" +
			"31 30 254:3 /ostree/deploy/os/var/containers/hosts /etc/hosts rw - xfs /dev/vda3 rw\n", Deployment{}},
		"snapper": {"25 1 0:26 /@/.snapshots/7/snapshot / rw,relatime shared:1 - btrfs /dev/vda2 rw,space_cache=v2,subvolid=281,subvol=/@/.snapshots/7/snapshot\n" +
			"40 25 0:26 /@/var /var rw,relatime shared:30 - btrfs /dev/vda2 rw,subvolid=258,subvol=/@/var\n" + proc,
			Deployment{Btrfs, "281", "btrfs subvolume /@/.snapshots/7/snapshot (ID 281)"}},
		"subvolume with a blank": {`25 1 0:26 /my\040root\134x / rw - btrfs /dev/vda2 rw,subvolid=300,subvol=/my\040root` + "\n",
			Deployment{Btrfs, "300", `btrfs subvolume /my root\x (ID 300)`}},
		"btrfs without an ID": {"25 1 0:26 /root / rw - btrfs /dev/vda2 rw\n", Deployment{Btrfs, "/root", "btrfs subvolume /root"}},
		"root on a root":      {"1 0 0:2 / / rw - rootfs rootfs rw\n" + "25 1 0:26 /root / rw - btrfs /dev/vda2 rw,subvolid=9\n", Deployment{Btrfs, "9", "btrfs subvolume /root (ID 9)"}},
		"not the last field":  {`25 1 0:26 /a\9bc\04 / rw - btrfs /dev/vda2 rw` + "\n", Deployment{Btrfs, `/a\9bc\04`, `btrfs subvolume /a\9bc\04`}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got, err := Parse(strings.NewReader(c.table)); err != nil || got != c.want {
				t.Errorf("got %+v, %v, want %+v", got, err, c.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	const good = "25 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"
	for name, table := range map[string]string{
		"nothing":         "",
		"no root":         "26 25 0:22 / /proc rw,nosuid - proc proc rw\n",
		"another text":    good + "nothing of the kind\n",
		"a line cut":      good + "26 25 0:22 / /proc - proc proc\n",
		"no file system":  good + "26 25 0:22 / /proc rw - proc\n",
		"a line too long": good + strings.Repeat("x", maxLine) + "\n",
		"too many lines":  strings.Repeat(good, maxTable/len(good)+1),
	} {
		if got, err := Parse(strings.NewReader(table)); err == nil {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("25 1 0:26 /@/.snapshots/7/snapshot / rw,relatime shared:1 - btrfs /dev/vda2 rw,subvolid=281\n")
	f.Add("30 1 254:3 /ostree/deploy/os/deploy/" + sum + ".0 / rw - xfs /dev/vda3 rw\n")
	f.Fuzz(func(t *testing.T, table string) {
		d, err := Parse(strings.NewReader(table))
		if err != nil && d != (Deployment{}) || d.Kind != "" && (d.ID == "" || d.Name == "") {
			t.Errorf("%+v, %v", d, err)
		}
	})
}

// The table of this machine can be read, and nothing that lies over it is believed.
func TestBooted(t *testing.T) {
	if _, err := Booted("/proc"); err != nil {
		t.Fatal(err)
	}
	if d, err := Booted(t.TempDir()); err == nil {
		t.Errorf("a directory passes for procfs: %+v", d)
	}
	if d, err := Booted(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Errorf("nothing passes for procfs: %+v", d)
	}
}

func TestBootedBelievesProcfsAlone(t *testing.T) {
	needs.Root(t)
	fake := filepath.Join(t.TempDir(), "mountinfo")
	if err := os.WriteFile(fake, []byte("25 1 0:26 /fake / rw - btrfs /dev/vda2 rw,subvolid=281\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	proc := t.TempDir()
	if err := unix.Mount("proc", proc, "proc", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(proc, unix.MNT_DETACH)
	if _, err := Booted(proc); err != nil {
		t.Fatal(err)
	}
	table, err := filepath.EvalSymlinks(filepath.Join(proc, "self"))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(fake, filepath.Join(table, "mountinfo"), "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if d, err := Booted(proc); err == nil {
		t.Errorf("it believes what lies over procfs: %+v", d)
	}
}
