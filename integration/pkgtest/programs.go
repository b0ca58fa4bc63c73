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

// Programs is a directory with digestd, digestctl, digestd-hook and the plugin digestd.so of
// a source tree.
type Programs struct{ Dir string }

// BuildPrograms builds those of this source tree into dir, with the given build tags ("failpoint");
// once for a test binary, in its TestMain.
func BuildPrograms(dir string, tags ...string) (Programs, error) {
	source, err := sourceTree()
	if err != nil {
		return Programs{}, err
	}
	return BuildProgramsOf(source, dir, tags...)
}

// BuildProgramsOf does that with another source tree, as of an older commit.
func BuildProgramsOf(source, dir string, tags ...string) (Programs, error) {
	plugin := filepath.Join(dir, "digestd.so")
	for _, args := range [][]string{
		slices.Concat([]string{"go", "build", "-C", source, "-ldflags=-w", "-tags", strings.Join(tags, ",")}, counting(), []string{"-o", dir, "./cmd/digestd", "./cmd/digestctl", "./cmd/digestd-hook"}),
		{"make", "-s", "-C", filepath.Join(source, "hooks", "rpm"), "-B", "digestd.so"},
		{"cp", filepath.Join(source, "hooks", "rpm", "digestd.so"), plugin},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return Programs{}, fmt.Errorf("cannot build programs: %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	return Programs{Dir: dir}, nil
}

// counting are the flags that have programs count what runs of them, where GOCOVERDIR says
// that this is wanted. Programs that are killed count nothing.
func counting() []string {
	if os.Getenv("GOCOVERDIR") == "" {
		return nil
	}
	return []string{"-cover", "-coverpkg", "./daemon/...,./store/...,./policy/...,./rpmdb/...,./digestlist/...,./kernel/...,./hooks/...,./cmd/..."}
}

// sourceTree is the directory of this module.
func sourceTree() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("cannot find source tree: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// PluginMacros are what makes rpm load the plugin and connect it to socket.
func (p Programs) PluginMacros(socket string) []string {
	return []string{
		"__plugindir " + p.Dir,
		"__transaction_digestd " + filepath.Join(p.Dir, "digestd.so") + " socket=" + socket,
	}
}

// SourceOf writes the tree of a commit of this repository into dir.
func SourceOf(commit, dir string) error {
	top, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return fmt.Errorf("cannot find the repository that has %s: %w", commit, err)
	}
	archive := filepath.Join(dir, "tree.tar")
	for _, args := range [][]string{
		{"git", "-C", strings.TrimSpace(string(top)), "archive", "-o", archive, commit},
		{"tar", "-C", dir, "-xf", archive},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("cannot extract %s: %w\n%s", commit, err, out)
		}
	}
	return os.Remove(archive)
}
