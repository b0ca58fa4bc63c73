// SPDX-License-Identifier: Apache-2.0

package exempt

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/digestd/digestd/kernel/guard"
)

// storage is where container runtimes of root mount the files of containers in the host's
// mount namespace. Only overlayfs there is a container's own.
var storage = []string{
	"/var/lib/containers/storage/", "/run/containers/storage/", "/var/lib/docker/", "/var/lib/containerd/", "/run/containerd/", "/var/lib/lxc/",
}

// maxTable bounds the table of mounts that is read, in bytes.
const maxTable = 8 << 20

// hostMounts reads the devices of what the host has mounted.
func hostMounts(path string) ([]uint32, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot tell what the host has mounted: %w", err)
	}
	defer f.Close()
	devices, err := parseMounts(io.LimitReader(f, maxTable+1))
	if err != nil {
		return nil, fmt.Errorf("cannot tell what the host has mounted: %s: %w", path, err)
	}
	return devices, nil
}

// parseMounts reads a table of mounts: see proc_pid_mountinfo(5).
func parseMounts(r io.Reader) (devices []uint32, err error) {
	read := 0
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		if read += len(line) + 1; read > maxTable {
			return nil, fmt.Errorf("it is larger than %d bytes", maxTable)
		}
		before, after, ok := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if !ok || len(fields) < 5 {
			return nil, fmt.Errorf("a line is none of a table of mounts: %.80q", line)
		}
		major, minor, ok := strings.Cut(fields[2], ":")
		high, err := strconv.ParseUint(major, 10, 12)
		low, err2 := strconv.ParseUint(minor, 10, 20)
		if !ok || err != nil || err2 != nil {
			return nil, fmt.Errorf("%.80q is no device", fields[2])
		}
		kind, _, _ := strings.Cut(after, " ")
		if kind == "overlay" && slices.ContainsFunc(storage, func(dir string) bool { return strings.HasPrefix(fields[4], dir) }) {
			continue
		}
		devices = append(devices, uint32(high)<<20|uint32(low))
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	slices.Sort(devices)
	devices = slices.Compact(devices)
	switch {
	case len(devices) == 0:
		return nil, errors.New("it names no mount")
	case len(devices) > guard.MaxHostMounts:
		return nil, fmt.Errorf("%d file systems are more than the %d that can be known", len(devices), guard.MaxHostMounts)
	}
	return devices, nil
}
