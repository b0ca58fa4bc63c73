// SPDX-License-Identifier: Apache-2.0

package preflight

import (
	"maps"
	"os"
	"slices"
	"strings"
)

// runtimes are programs that run containers as root, where packages put them.
var runtimes = map[string]string{
	"/usr/bin/podman": "Podman", "/usr/bin/dockerd": "Docker", "/usr/sbin/dockerd": "Docker", "/usr/bin/containerd": "containerd",
	"/usr/bin/crio": "CRI-O", "/usr/bin/kubelet": "Kubernetes", "/usr/bin/lxc-start": "LXC", "/usr/bin/systemd-nspawn": "systemd-nspawn",
}

// Containers asks the owner to decide about containers, where something that runs them is
// installed: their images have files that no list holds.
func (m Machine) Containers() (c Condition, found bool) {
	seen := map[string]bool{}
	for path, name := range runtimes {
		if info, err := os.Stat(m.at(path)); err == nil && info.Mode().IsRegular() {
			seen[name] = true
		}
	}
	if len(seen) == 0 {
		return c, false
	}
	return Condition{
		Name: "containers", OK: true,
		Text:   strings.Join(slices.Sorted(maps.Keys(seen)), ", ") + " can run containers; containers that root runs may use files without a list, unless guard-containers is false",
		Advice: "decide whether to allow that; digestctl guard status shows the cgroups",
	}, true
}
