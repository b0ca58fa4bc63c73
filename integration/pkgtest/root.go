// SPDX-License-Identifier: Apache-2.0

package pkgtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// DBPath is where the database lies inside a root.
const DBPath = "/var/lib/rpm"

// Root is a tree that rpm installs into, with a database of its own.
type Root struct {
	Dir    string
	Macros []string // defined for every run of rpm, as "name value"
}

// NewRoot makes a root with an empty database in dir.
func NewRoot(dir string) (*Root, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	r := &Root{Dir: dir}
	return r, r.Run("--initdb")
}

// Command prepares rpm on this root, whatever the machine's configuration says
// of database and keyring. Debian's rpm wants to be forced to install.
func (r *Root) Command(args ...string) *exec.Cmd {
	all := []string{"--root", r.Dir, "--define", "_dbpath " + DBPath, "--define", "_keyring rpmdb"}
	for _, m := range r.Macros {
		all = append(all, "--define", m)
	}
	all = append(all, args...)
	if debian() && slices.ContainsFunc(args, changes) {
		all = append(all, "--force-debian")
	}
	cmd := exec.Command("rpm", all...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	return cmd
}

func debian() bool {
	_, err := os.Stat("/etc/debian_version")
	return err == nil
}

// changes reports whether an option of rpm is one that Debian's refuses.
func changes(arg string) bool {
	if strings.HasPrefix(arg, "--") {
		return slices.Contains([]string{"--install", "--upgrade", "--erase", "--reinstall"}, arg)
	}
	return strings.HasPrefix(arg, "-") && strings.ContainsAny(arg[1:2], "iUFe")
}

// Run runs rpm and returns what it said as an error if it failed.
func (r *Root) Run(args ...string) error {
	out, err := r.Command(args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("rpm %s: %w\n%s", short(args), err, out)
	}
	return nil
}

// Query runs rpm and returns the lines it printed, sorted.
func (r *Root) Query(args ...string) ([]string, error) {
	out, err := r.Command(args...).Output()
	if err != nil {
		return nil, fmt.Errorf("rpm %s: %w", short(args), err)
	}
	lines := slices.DeleteFunc(strings.Split(string(out), "\n"), func(l string) bool { return l == "" })
	slices.Sort(lines)
	return lines, nil
}

func short(args []string) string {
	const few = 8
	if len(args) > few {
		return fmt.Sprintf("%s … (%d arguments)", strings.Join(args[:few], " "), len(args))
	}
	return strings.Join(args, " ")
}

// Import makes rpm trust a key.
func (r *Root) Import(k *Key) error {
	dir, err := os.MkdirTemp("", "digestd-key-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "certificate.asc")
	if err := os.WriteFile(file, k.Armor, 0o644); err != nil {
		return err
	}
	return r.Run("--import", file)
}

// Database returns the directory of the database, as this process sees it.
func (r *Root) Database() string { return filepath.Join(r.Dir, DBPath) }
