// SPDX-License-Identifier: Apache-2.0

package exempt_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/digestd/digestd/daemon/guard/exempt"
	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/kernel/guard"
)

const table = `21 28 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw
28 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
29 28 254:1 /srv /srv rw,relatime shared:1 - ext4 /dev/vda1 rw
90 28 0:48 / /var/lib/containers/storage/overlay/ab/merged rw master:2 - overlay overlay rw,lowerdir=/l
91 28 0:49 / /mnt/image rw - overlay overlay rw,lowerdir=/l
92 28 0:50 / /var/lib/docker/tmpfs rw - tmpfs tmpfs rw
`

// tree makes a tree of cgroups, and a table of mounts.
func tree(t *testing.T, groups ...string) exempt.Machine {
	t.Helper()
	needs.Root(t)
	dir := t.TempDir()
	m := exempt.Machine{Cgroups: filepath.Join(dir, "cgroup"), Mounts: filepath.Join(dir, "mountinfo")}
	for _, group := range groups {
		if err := os.MkdirAll(filepath.Join(m.Cgroups, group), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(m.Mounts, []byte(table), 0o644); err != nil {
		t.Fatal(err)
	}
	return m
}

// inode is the number of a cgroup.
func inode(t *testing.T, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// TestContainersOfRuntimes: the cgroups in which root's runtimes put containers are
// exempt, and no others; a container's own overlayfs is not among the host's mounts.
func TestContainersOfRuntimes(t *testing.T) {
	m := tree(t, "machine.slice/libpod-1.scope", "system.slice/docker-2.scope", "system.slice/sshd.service", "user.slice/user-1000.slice/user@1000.service/libpod-3.scope")
	groups, to, err := m.Find(exempt.Settings{Runtimes: true})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, g := range groups {
		names = append(names, g.Name+g.Refused+g.Forced)
	}
	if want := []string{"machine.slice", "system.slice/docker-2.scope"}; !slices.Equal(names, want) {
		t.Errorf("found %q, want %q", names, want)
	}
	for _, name := range names {
		if !slices.Contains(to.Cgroups, inode(t, filepath.Join(m.Cgroups, name))) {
			t.Errorf("%s is not exempt: %v", name, to.Cgroups)
		}
	}
	if want := []uint32{20, 49, 50, 254<<20 | 1}; !slices.Equal(to.Mounts, want) {
		t.Errorf("the host has mounted %v, want %v", to.Mounts, want)
	}
	if groups, to, err = m.Find(exempt.Settings{}); len(groups)+len(to.Cgroups)+len(to.Mounts) > 0 || err != nil {
		t.Errorf("nothing is to be exempt: %v, %v, %v", groups, to, err)
	}
}

// TestNotForRootAlone: a cgroup is refused if others than root can put processes into it,
// whatever says so, unless its owner forces it and says why.
func TestNotForRootAlone(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(t *testing.T, group string) error
		why   string
	}{
		"root's":            {spoil: func(*testing.T, string) error { return nil }},
		"a user's":          {func(_ *testing.T, g string) error { return os.Chown(g, 1000, 0) }, "a/b belongs to user 1000"},
		"a user's above":    {func(_ *testing.T, g string) error { return os.Chown(filepath.Dir(g), 1000, 0) }, "a belongs to user 1000"},
		"for all to write":  {func(_ *testing.T, g string) error { return os.Chmod(g, 0o777) }, "can be changed by others"},
		"for a group":       {func(_ *testing.T, g string) error { os.Chown(g, 0, 5); return os.Chmod(g, 0o775) }, "can be changed by others"},
		"its members' file": {func(_ *testing.T, g string) error { return give(g, "cgroup.procs") }, "belongs to user 1000"},
		"its threads' file": {func(_ *testing.T, g string) error { return give(g, "cgroup.threads") }, "belongs to user 1000"},
		"delegated":         {func(_ *testing.T, g string) error { return unix.Lsetxattr(g, "trusted.delegate", []byte("1"), 0) }, "a/b is delegated"},
		"delegated above": {func(_ *testing.T, g string) error {
			return unix.Lsetxattr(filepath.Dir(g), "trusted.delegate", []byte("1"), 0)
		}, "a is delegated"},
		"no longer delegated": {func(_ *testing.T, g string) error { return unix.Lsetxattr(g, "trusted.delegate", []byte("0"), 0) }, ""},
		"a link": {func(_ *testing.T, g string) error {
			if err := os.Remove(g); err != nil {
				return err
			}
			return os.Symlink("/", g)
		}, "is no cgroup"},
	} {
		t.Run(name, func(t *testing.T) {
			m := tree(t, "a/b")
			if err := test.spoil(t, filepath.Join(m.Cgroups, "a/b")); err != nil {
				t.Fatal(err)
			}
			groups, to, err := m.Find(exempt.Settings{Named: []string{"/a/b"}})
			if err != nil || len(groups) != 1 {
				t.Fatalf("%v, %v", groups, err)
			}
			if !strings.Contains(groups[0].Refused, test.why) || (groups[0].Refused == "") != (test.why == "") || len(to.Cgroups) > 0 != (test.why == "") {
				t.Errorf("%+v, exempt %v; want it refused because it %q", groups[0], to.Cgroups, test.why)
			}
			groups, to, err = m.Find(exempt.Settings{Named: []string{"a/b force we know"}})
			if err != nil || len(groups) != 1 {
				t.Fatalf("%v, %v", groups, err)
			}
			switch {
			case name == "a link" && len(to.Cgroups) > 0:
				t.Error("what is no cgroup was forced")
			case name != "a link" && (len(to.Cgroups) != 1 || groups[0].Refused != ""):
				t.Errorf("forced: %+v, %v", groups[0], to)
			case test.why != "" && name != "a link" && groups[0].Forced != "we know":
				t.Errorf("the reason is not told: %+v", groups[0])
			}
		})
	}
}

func give(group, file string) error {
	path := filepath.Join(group, file)
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		return err
	}
	return os.Chown(path, 1000, 0)
}

func TestUsersAreNotExempt(t *testing.T) {
	m := tree(t, "user.slice/user-0.slice/session-1.scope")
	groups, to, err := m.Find(exempt.Settings{Named: []string{"user.slice/*/session-*.scope"}})
	if err != nil || len(groups) != 1 || len(to.Cgroups) > 0 || !strings.Contains(groups[0].Refused, "processes of users") {
		t.Errorf("%+v, %v, %v", groups, to, err)
	}
}

func TestSettings(t *testing.T) {
	for entry, good := range map[string]bool{
		"lxc": true, "/lxc/": true, "a/b-*.scope force it is ours": true,
		"": false, "/": false, "..": false, "a/../../b": false, "[": false, "a b": false, "a force": false, "a force  ": false, "a forced by me": false,
	} {
		if err := (exempt.Settings{Named: []string{entry}}).Check(); (err == nil) != good {
			t.Errorf("%q: %v", entry, err)
		}
	}
}

// TestTableThatCannotBeRead: where the host's mounts are not known nothing is exempt.
func TestTableThatCannotBeRead(t *testing.T) {
	many := strings.Builder{}
	for i := range guard.MaxHostMounts + 1 {
		fmt.Fprintf(&many, "1 1 9:%d / / rw - ext4 x rw\n", i)
	}
	for name, text := range map[string]string{
		"empty": "", "a line is short": "1 2 0:1 / - ext4\n", "no separator": "1 2 0:1 / / rw ext4 x rw\n", "no device": "1 2 x:y / / rw - ext4 x rw\n",
		"a device too large": "1 2 4096:1 / / rw - ext4 x rw\n", "too many": many.String(), "too large": strings.Repeat("1 2 0:1 / / rw - ext4 x rw\n", 400_000),
	} {
		m := tree(t, "lxc")
		if err := os.WriteFile(m.Mounts, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, to, err := m.Find(exempt.Settings{Runtimes: true}); err == nil || len(to.Cgroups)+len(to.Mounts) > 0 {
			t.Errorf("%s: %+v, %v", name, to, err)
		}
	}
	m := tree(t, "lxc")
	os.Remove(m.Mounts)
	if _, to, err := m.Find(exempt.Settings{Runtimes: true}); err == nil || len(to.Cgroups) > 0 {
		t.Errorf("none: %+v, %v", to, err)
	}
}

// TestWatch: a cgroup that comes is noticed at once.
func TestWatch(t *testing.T) {
	m := tree(t, "system.slice")
	m.Mounts = "/proc/self/mountinfo"
	ctx, cancel := context.WithCancel(t.Context())
	looked := make(chan struct{}, 100)
	ended := make(chan error, 1)
	go func() { ended <- m.Watch(ctx, exempt.Settings{Runtimes: true}, func() { looked <- struct{}{} }) }()
	next := func(what string) {
		t.Helper()
		select {
		case <-looked:
		case <-time.After(10 * time.Second):
			t.Fatal("not noticed: " + what)
		}
	}
	next("the start")
	if err := os.Mkdir(filepath.Join(m.Cgroups, "system.slice/docker-1.scope"), 0o755); err != nil {
		t.Fatal(err)
	}
	next("a scope")
	if err := os.Mkdir(filepath.Join(m.Cgroups, "machine.slice"), 0o755); err != nil {
		t.Fatal(err)
	}
	next("a slice")
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
}

func FuzzMounts(f *testing.F) {
	f.Add(table)
	f.Add("1 2 0:1 / / rw - ext4 x rw")
	dir := f.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "cgroup/lxc"), 0o755); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		needs.Root(t)
		m := exempt.Machine{Cgroups: filepath.Join(dir, "cgroup"), Mounts: filepath.Join(dir, "mountinfo")}
		if err := os.WriteFile(m.Mounts, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, to, err := m.Find(exempt.Settings{Runtimes: true})
		if (err == nil) != (len(to.Cgroups) > 0) || len(to.Mounts) > guard.MaxHostMounts {
			t.Errorf("%+v, %v", to, err)
		}
	})
}
