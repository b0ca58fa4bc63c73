// SPDX-License-Identifier: Apache-2.0

// Package exempt finds out which containers may run files that no list holds: which
// cgroups the owner's settings mean, whether they are for root alone to fill, and what
// the host has mounted. It only looks; what it finds counts until it looks again.
//
// It promises that a cgroup which others than root can put processes into is refused
// unless its owner forces it with a reason, and that what it cannot read exempts nothing.
package exempt

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/digestd/digestd/kernel/guard"
)

// runtimes are the cgroups, below the root of their tree, in which container runtimes
// that root runs put containers: systemd's machines and those of Podman, Kubernetes,
// Docker, CRI-O, containerd and LXC.
var runtimes = []string{
	"machine.slice", "libpod_parent", "kubepods.slice", "kubepods", "docker", "lxc", "lxc.payload.*",
	"system.slice/docker-*.scope", "system.slice/crio-*.scope", "system.slice/cri-containerd-*.scope",
}

// Group is a cgroup that is exempt, or would be.
type Group struct {
	Name    string `json:"name"`              // below the root of the tree, without a slash before it
	Forced  string `json:"forced,omitempty"`  // the owner's reason
	Refused string `json:"refused,omitempty"` // why it is not exempt
	id      uint64
}

// Settings are the owner's.
type Settings struct {
	Runtimes bool     // the cgroups of container runtimes are exempt
	Named    []string // patterns of more, each "GROUP" or "GROUP force REASON"
}

// Any says whether anything is to be exempt.
func (s Settings) Any() bool { return s.Runtimes || len(s.Named) > 0 }

// Entry is what Named has for a group; reason forces it, unless it is empty.
func Entry(group, reason string) string {
	if reason == "" {
		return group
	}
	return group + " force " + reason
}

// GroupOf is the group of an entry of Named, in one spelling.
func GroupOf(entry string) string {
	pattern, _, _ := strings.Cut(entry, " ")
	return strings.Trim(pattern, "/")
}

// Check says whether the settings can be used.
func (s Settings) Check() error {
	for _, entry := range s.Named {
		if _, _, err := parse(entry); err != nil {
			return err
		}
	}
	return nil
}

// parse splits an entry of Named.
func parse(entry string) (pattern, forced string, err error) {
	pattern, rest, more := strings.Cut(entry, " ")
	pattern = strings.Trim(pattern, "/")
	if more {
		var ok bool
		if forced, ok = strings.CutPrefix(rest, "force "); !ok || strings.TrimSpace(forced) == "" {
			return "", "", fmt.Errorf("exemption %q: want GROUP, or GROUP force REASON", entry)
		}
	}
	if pattern == "" || slices.Contains(strings.Split(pattern, "/"), "..") {
		return "", "", fmt.Errorf("exemption %q names no cgroup", entry)
	}
	if _, err := filepath.Match(pattern, ""); err != nil {
		return "", "", fmt.Errorf("exemption %q: %w", entry, err)
	}
	return pattern, strings.TrimSpace(forced), nil
}

// Machine is where to look: the root of the cgroup tree and a table of the host's mounts,
// as /proc/1/mountinfo has it.
type Machine struct {
	Cgroups string
	Mounts  string
}

// Find returns the cgroups that settings mean and that are there, and the exemptions that
// follow, all but the namespace.
func (m Machine) Find(s Settings) (groups []Group, to guard.Exemptions, err error) {
	entries := slices.Clone(s.Named)
	if s.Runtimes {
		entries = append(entries, runtimes...)
	}
	seen := map[string]bool{}
	for _, entry := range entries {
		pattern, forced, err := parse(entry)
		if err != nil {
			return nil, guard.Exemptions{}, err
		}
		found, err := filepath.Glob(filepath.Join(m.Cgroups, pattern))
		if err != nil {
			return nil, guard.Exemptions{}, err
		}
		for _, path := range found {
			name := strings.TrimPrefix(path, m.Cgroups+"/")
			if seen[name] {
				continue
			}
			seen[name] = true
			g := m.look(name)
			if g.Refused != "" && forced != "" && g.id != 0 {
				g.Refused, g.Forced = "", forced
			}
			groups = append(groups, g)
			if g.Refused == "" {
				to.Cgroups = append(to.Cgroups, g.id)
			}
		}
	}
	slices.SortFunc(groups, func(a, b Group) int { return cmp.Compare(a.Name, b.Name) })
	if len(to.Cgroups) > guard.MaxExemptCgroups {
		return groups, guard.Exemptions{}, fmt.Errorf("cannot exempt %d cgroups: at most %d can be; name what has them", len(to.Cgroups), guard.MaxExemptCgroups)
	}
	if len(to.Cgroups) > 0 {
		to.Mounts, err = hostMounts(m.Mounts)
	}
	if err != nil {
		return groups, guard.Exemptions{}, err
	}
	return groups, to, nil
}

// Parents returns the directories in which cgroups that settings mean come and go.
func (m Machine) Parents(s Settings) []string {
	entries := slices.Clone(s.Named)
	if s.Runtimes {
		entries = append(entries, runtimes...)
	}
	var all []string
	for _, entry := range entries {
		pattern, _, err := parse(entry)
		if err != nil {
			continue
		}
		parents, _ := filepath.Glob(filepath.Join(m.Cgroups, filepath.Dir(pattern))) // the pattern is a good one
		all = append(all, parents...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// look looks whether others than root can make processes members of a cgroup: by the
// owner and mode of it and of what is above it, by delegation, or because it is a user's.
func (m Machine) look(name string) Group {
	g := Group{Name: name}
	parts := strings.Split(name, "/")
	for i := range parts {
		path := filepath.Join(m.Cgroups, filepath.Join(parts[:i+1]...))
		id, why, err := examine(path)
		if err != nil {
			return Group{Name: name, Refused: err.Error()}
		}
		if i == len(parts)-1 {
			g.id = id
		}
		if why != "" && g.Refused == "" {
			g.Refused = strings.Join(parts[:i+1], "/") + " " + why
		}
	}
	if parts[0] == "user.slice" && g.Refused == "" {
		g.Refused = "user.slice has processes of users"
	}
	return g
}

// examine returns the number of a cgroup, and why it is not for root alone.
func examine(path string) (id uint64, why string, err error) {
	if delegated(path) {
		why = "is delegated"
	}
	for _, part := range []string{"", "cgroup.procs", "cgroup.threads"} {
		info, err := os.Lstat(filepath.Join(path, part))
		if errors.Is(err, fs.ErrNotExist) && part != "" {
			continue
		}
		if err != nil {
			return 0, "", err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		switch {
		case !ok || part == "" && !info.IsDir():
			return 0, "", fmt.Errorf("%s is no cgroup", path)
		case st.Uid != 0:
			why = fmt.Sprintf("belongs to user %d", st.Uid)
		case st.Mode&0o002 != 0 || st.Mode&0o020 != 0 && st.Gid != 0:
			why = "can be changed by others than root"
		}
		if part == "" {
			id = st.Ino
		}
	}
	return id, why, nil
}

// delegated says whether systemd has given a cgroup away.
func delegated(path string) bool {
	for _, name := range []string{"user.delegate", "trusted.delegate"} {
		var value [1]byte
		if n, err := unix.Lgetxattr(path, name, value[:]); err == nil && n == 1 && value[0] == '1' {
			return true
		}
	}
	return false
}
