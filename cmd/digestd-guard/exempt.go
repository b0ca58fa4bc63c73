// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

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

// exempter keeps the kernel's exemptions at what the owner's settings mean, and at what was
// decided since the machine started.
type exempter struct {
	machine exempt.Machine
	keeper  *protocol.Keeper
	log     *slog.Logger
	host    func() (uint32, error) // the host's mount namespace
	path    string                 // where decisions are kept until the machine goes off

	changed chan struct{} // what to watch has changed

	mu       sync.Mutex // guards the rest
	settings exempt.Settings
	decided  []string // as settings.Named
	told     []exempt.Group
	failed   string
}

// exemptFile is the file, beside the socket, that has the decisions: one in each line.
const exemptFile = "exempt"

// mostDecided bounds what is decided besides the configuration.
const mostDecided = 100

func newExempter(o options, keeper *protocol.Keeper, log *slog.Logger) *exempter {
	x := &exempter{
		settings: o.exempt, machine: exempt.Machine{Cgroups: "/sys/fs/cgroup", Mounts: "/proc/1/mountinfo"}, keeper: keeper, log: log,
		host: func() (uint32, error) { return namespace(o.socket) }, path: filepath.Join(filepath.Dir(o.socket), exemptFile), changed: make(chan struct{}, 1),
	}
	if err := x.remember(); err != nil {
		log.Error("exemptions that were decided since the machine started are forgotten", "error", err)
	}
	return x
}

// remember reads what was decided.
func (x *exempter) remember() error {
	data, err := os.ReadFile(x.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	lines := strings.FieldsFunc(string(data), func(r rune) bool { return r == '\n' })
	if err := (exempt.Settings{Named: lines}).Check(); err != nil || len(lines) > mostDecided {
		return fmt.Errorf("%s has %d lines: %w", x.path, len(lines), err)
	}
	x.decided = lines
	return nil
}

// decide puts an exemption in force, or ends one, before it returns.
func (x *exempter) decide(e protocol.Exemption) error {
	group := exempt.GroupOf(e.Group)
	entry := group
	if e.Force {
		entry = exempt.Entry(group, e.Reason)
	}
	alone := exempt.Settings{Named: []string{entry}}
	if err := alone.Check(); err != nil || group != strings.Trim(e.Group, "/") {
		return errors.Join(err, fmt.Errorf("%q is no name of a cgroup", e.Group))
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	left := slices.DeleteFunc(slices.Clone(x.decided), func(entry string) bool { return exempt.GroupOf(entry) == group })
	switch {
	case e.End && len(left) == len(x.decided) && slices.ContainsFunc(x.settings.Named, func(entry string) bool { return exempt.GroupOf(entry) == group }):
		return fmt.Errorf("the configuration exempts %s: change guard-exempt in it, and restart digestd-guard", group)
	case e.End && len(left) == len(x.decided):
		return fmt.Errorf("%s was not exempted since the machine started", group)
	case !e.End && len(left) >= mostDecided:
		return fmt.Errorf("%d cgroups were exempted since the machine started; name more of them in the configuration", len(left))
	case !e.End:
		groups, _, err := x.machine.Find(alone)
		if err != nil {
			return err
		}
		for _, g := range groups {
			if g.Refused != "" {
				return fmt.Errorf("%s cannot be exempted: %s", g.Name, g.Refused)
			}
		}
		left = append(left, entry)
	}
	// The exemptions in force are on disk: an upgrade of this program forgets nothing.
	if err := writeLines(x.path, left); err != nil {
		return fmt.Errorf("cannot keep the exemption: %w", err)
	}
	x.decided = left
	select {
	case x.changed <- struct{}{}:
	default:
	}
	x.lookNow()
	if x.failed != "" {
		return errors.New(x.failed)
	}
	return nil
}

// writeLines puts a file in the place of another at once.
func writeLines(path string, lines []string) error {
	text := ""
	for _, line := range lines {
		text += line + "\n"
	}
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// wanted are the settings that count now.
func (x *exempter) wanted() exempt.Settings {
	return exempt.Settings{Runtimes: x.settings.Runtimes, Named: slices.Concat(x.decided, x.settings.Named)}
}

// run goes on until ctx ends. Exemptions stay in force then.
func (x *exempter) run(ctx context.Context) {
	for ctx.Err() == nil {
		x.mu.Lock()
		wanted := x.wanted()
		x.mu.Unlock()
		if !wanted.Any() {
			x.look()
			select {
			case <-ctx.Done():
			case <-x.changed:
			}
			continue
		}
		x.watch(ctx, wanted)
	}
}

// watch looks again and again until settings are others.
func (x *exempter) watch(ctx context.Context, wanted exempt.Settings) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- x.machine.Watch(ctx, wanted, x.look) }()
	select {
	case <-x.changed:
		cancel()
		<-ended
	case err := <-ended:
		if err == nil {
			return
		}
		x.mu.Lock()
		x.apply(nil, guard.Exemptions{}, err)
		x.mu.Unlock()
		select { // until somebody decides otherwise
		case <-ctx.Done():
		case <-x.changed:
		}
	}
}

func (x *exempter) look() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.lookNow()
}

func (x *exempter) lookNow() {
	wanted := x.wanted()
	if !wanted.Any() {
		x.apply(nil, guard.Exemptions{}, nil)
		return
	}
	groups, to, err := x.machine.Find(wanted)
	if err == nil {
		to.Namespace, err = x.host()
	}
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
