// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// maxCgroups bounds the file with the control groups of a process, in bytes.
const maxCgroups = 64 << 10

// UnitOf names the systemd unit of a process, such as dnf-makecache.service or session-3.scope;
// "" if it has none or it is unknown.
func UnitOf(pid uint32) string {
	f, err := os.Open("/proc/" + strconv.FormatUint(uint64(pid), 10) + "/cgroup")
	if err != nil {
		return ""
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxCgroups))
	if err != nil {
		return ""
	}
	return unitIn(string(data))
}

// unitIn finds the unit in a file /proc/PID/cgroup. The group is in the unified hierarchy or in
// systemd's own, and the unit follows its slices.
func unitIn(text string) string {
	for line := range strings.Lines(text) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 || parts[1] != "" && parts[1] != "name=systemd" {
			continue
		}
		name, rest, more := strings.Cut(strings.TrimPrefix(parts[2], "/"), "/")
		for more && strings.HasSuffix(name, ".slice") {
			name, rest, more = strings.Cut(rest, "/")
		}
		// A name that could be one of the kernel's files begins with "_".
		name = strings.TrimPrefix(name, "_")
		if slices.Contains([]string{".service", ".scope", ".socket", ".mount", ".swap"}, path.Ext(name)) {
			return name
		}
	}
	return ""
}
