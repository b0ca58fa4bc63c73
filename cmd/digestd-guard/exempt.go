// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/exempt"
	"github.com/digestd/digestd/kernel/guard"
)

// hostFile is the file, beside the socket, in which -host leaves the number of the host's
// mount namespace: with its few capabilities digestd-guard may not ask for it.
const hostFile = "host"

// tellHost writes that file. It is run with the capabilities of the service manager.
func tellHost(socket string) error {
	n, err := askHost()
	if err != nil {
		return err
	}
	path := filepath.Join(filepath.Dir(socket), hostFile)
	if err := os.WriteFile(path, []byte(strconv.FormatUint(uint64(n), 10)), 0o600); err != nil {
		return fmt.Errorf("cannot tell which mounts are the host's: %w", err)
	}
	return nil
}

// askHost asks the kernel for the mount namespace of the first process.
func askHost() (uint32, error) {
	const path = "/proc/1/ns/mnt"
	var host unix.Stat_t
	if err := unix.Stat(path, &host); err != nil {
		return 0, &os.PathError{Op: "cannot tell which mounts are the host's: stat", Path: path, Err: err}
	}
	return uint32(host.Ino), nil
}

// namespace returns the host's mount namespace, by asking or from what -host left.
func namespace(socket string) (uint32, error) {
	n, err := askHost()
	if err == nil {
		return n, nil
	}
	data, rerr := os.ReadFile(filepath.Join(filepath.Dir(socket), hostFile))
	if rerr != nil {
		return 0, errors.Join(err, rerr)
	}
	left, perr := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 32)
	if perr != nil || left == 0 {
		return 0, errors.Join(err, fmt.Errorf("%q is no mount namespace", data))
	}
	return uint32(left), nil
}

// exempter keeps the kernel's exemptions at what the owner's settings mean.
type exempter struct {
	settings exempt.Settings
	machine  exempt.Machine
	keeper   *protocol.Keeper
	log      *slog.Logger
	host     uint32
	told     []exempt.Group
	failed   string
}

// run goes on until ctx ends. Exemptions stay in force then.
func (x *exempter) run(ctx context.Context) {
	if !x.settings.Any() {
		x.apply(nil, guard.Exemptions{}, nil)
		return
	}
	if err := x.machine.Watch(ctx, x.settings, x.look); err != nil {
		x.apply(nil, guard.Exemptions{}, err)
	}
}

func (x *exempter) look() {
	groups, to, err := x.machine.Find(x.settings)
	to.Namespace = x.host
	x.apply(groups, to, err)
}

// apply has the kernel exempt what was found, and nothing after an error.
func (x *exempter) apply(groups []exempt.Group, to guard.Exemptions, err error) {
	if err != nil {
		groups, to = nil, guard.Exemptions{}
	}
	if err = errors.Join(err, x.keeper.Exempt(groups, to)); err != nil {
		if err.Error() != x.failed {
			x.log.Error("no container is exempt", "error", err)
		}
		x.failed = err.Error()
		return
	}
	x.failed = ""
	if slices.Equal(groups, x.told) {
		return
	}
	x.told = groups
	for _, g := range groups {
		switch {
		case g.Refused != "":
			x.log.Warn("this cgroup is not exempt", "cgroup", g.Name, "reason", g.Refused, "advice", "exempt one that root alone fills, or write: "+g.Name+" force REASON")
		case g.Forced != "":
			x.log.Warn("containers of this cgroup are exempt, which others than root can fill", "cgroup", g.Name, "reason", g.Forced)
		default:
			x.log.Info("containers of this cgroup are exempt", "cgroup", g.Name)
		}
	}
}
