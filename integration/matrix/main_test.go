// SPDX-License-Identifier: Apache-2.0

// Package matrix_test runs one scenario with every package manager of every
// release, as its users do: the whole of digestd, the plugins within rpm, dnf
// and dnf5, and a repository on a server that counts what is downloaded.
package matrix_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/digestd/digestd/integration/pkgtest"
)

// release is one with these package managers.
type release struct {
	pkgtest.Release
	managers []manager
	dir      string // scratch, as its programs see it; has the plugin
}

var (
	releases []*release
	programs pkgtest.Programs
	packages string // a repository
	vendor   *pkgtest.Key
	stolen   *pkgtest.Key
)

func TestMain(m *testing.M) {
	// A package manager that starts where SIGHUP is ignored, as under nohup, would ignore it too.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	pkgtest.Main(m, func(s *pkgtest.Setup) (err error) {
		if programs, err = pkgtest.BuildPrograms(s.Dir); err != nil {
			return err
		}
		packages = filepath.Join(s.Dir, "packages")
		if err := makePackages(s.Dir, packages); err != nil {
			return err
		}
		host, trixie, forky := pkgtest.Releases()
		releases = []*release{
			{Release: host, managers: []manager{rpm, dnf4}}, {Release: trixie, managers: []manager{rpm, dnf4}}, {Release: forky, managers: []manager{rpm, dnf4, dnf5}},
		}
		for _, r := range releases {
			if r.dir, _, err = s.Scratch(r.Release); err != nil {
				return err
			}
			if err := r.BuildPlugin(filepath.Join(r.dir, "rpm")); err != nil {
				return err
			}
		}
		return nil
	})
}

// mk runs make and returns what it said as an error if it failed.
func mk(args ...string) error {
	if out, err := exec.Command("make", append([]string{"-s"}, args...)...).CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("make %s: %w", strings.Join(args, " "), err), errors.New(string(out)))
	}
	return nil
}

// makePackages makes a repository of what the scenario needs.
func makePackages(dir, repository string) (err error) {
	if vendor, err = pkgtest.NewKey("vendor", 2048); err != nil {
		return err
	}
	if stolen, err = pkgtest.NewKey("stolen", 2048); err != nil {
		return err
	}
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", dir, "./probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build probe: %w\n%s", err, out)
	}
	probe, err := os.ReadFile(filepath.Join(dir, "probe"))
	if err != nil {
		return err
	}
	if err := os.Mkdir(repository, 0o755); err != nil {
		return err
	}
	for _, p := range []pkgtest.Package{
		{Name: "tool", Version: "1", Files: map[string]string{"/usr/bin/tool": string(probe)}, Post: "runs it", PostProg: "/usr/bin/tool"},
		{Name: "tool", Version: "2", Files: map[string]string{"/usr/bin/tool": string(probe) + "2"}, Post: "runs it", PostProg: "/usr/bin/tool"},
		{Name: "other", Version: "1", Files: map[string]string{"/usr/bin/other": "other"}},
		{Name: "signed", Version: "1", Files: map[string]string{"/usr/bin/signed": "signed"}, Key: stolen},
	} {
		p.Release, p.Arch = "1", "noarch"
		if p.Key == nil {
			p.Key = vendor
		}
		if _, err := p.Build(repository); err != nil {
			return err
		}
	}
	if out, err := exec.Command("createrepo_c", "--quiet", repository).CombinedOutput(); err != nil {
		return fmt.Errorf("cannot make a repository: %w\n%s", err, out)
	}
	return nil
}
