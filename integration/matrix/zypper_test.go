// SPDX-License-Identifier: Apache-2.0

package matrix_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/digestd/digestd/integration/pkgtest"
)

// zypped is a release in which zypper changes packages. libzypp runs its plugins only
// where zypper's root is the root directory.
type zypped struct {
	*pkgtest.Machine
	release pkgtest.Release
	so      string // directory of rpm's plugin
}

func newZypped(t *testing.T, r *release) *zypped {
	root := pkgtest.Overlay(t, r.Root)
	d := pkgtest.NewDaemon(t, programs, &pkgtest.Root{Dir: root}, filepath.Join(root, "etc", "digestd"))
	z := &zypped{
		Machine: &pkgtest.Machine{TB: t, Daemon: d, Made: packages},
		release: pkgtest.Release{Name: r.Name, Root: root}, so: filepath.Join(r.dir, "rpm"),
	}
	z.OK(os.CopyFS(filepath.Join(root, "repository"), os.DirFS(packages)))
	z.OK(mk("-C", filepath.Join("..", "..", "hooks", "zypp"), "install", "DESTDIR="+root, "zyppdir=/usr/lib/zypp/plugins"))
	z.installHook()
	for name, text := range map[string]string{
		"zypp/repos.d/test.repo": "[test]\nname=test\nenabled=1\nbaseurl=dir:/repository\ngpgcheck=0\n",
		"zypp/systemCheck":       "", // there is no glibc of an rpm's
	} {
		file := filepath.Join(root, "etc", name)
		z.OK(os.MkdirAll(filepath.Dir(file), 0o755))
		z.OK(os.WriteFile(file, []byte(text), 0o644))
	}
	z.setUpRPM("")
	z.must("rpm", "--initdb")
	for _, k := range []*pkgtest.Key{vendor, stolen} {
		z.OK(os.WriteFile(filepath.Join(root, k.Owner+".asc"), k.Armor, 0o644))
		z.must("rpm", "--import", "/"+k.Owner+".asc")
	}
	return z
}

const zyppHook = "/usr/libexec/digestd/digestd-hook"

func (z *zypped) installHook() {
	z.Helper()
	z.OK(os.MkdirAll(filepath.Dir(z.Path(zyppHook)), 0o755))
	z.OK(copyFile(z.Path(zyppHook), filepath.Join(programs.Dir, "digestd-hook")))
}

// setUpRPM writes rpm's macros, with options of the plugin and more macros.
func (z *zypped) setUpRPM(options string, more ...string) {
	z.Helper()
	macros := append([]string{
		"_dbpath " + pkgtest.DBPath, "_keyring rpmdb", "__plugindir " + z.so,
		"__transaction_digestd " + z.so + "/digestd.so socket=/etc/digestd/run/hook.sock " + options,
	}, more...)
	z.OK(os.MkdirAll(z.Path("/etc/rpm"), 0o755))
	z.OK(os.WriteFile(z.Path("/etc/rpm/macros"), []byte("%"+strings.Join(macros, "\n%")+"\n"), 0o644))
}

// run runs a program as somebody at a terminal would, its error output being a pipe.
func (z *zypped) run(args ...string) (state *os.ProcessState, said string) {
	z.Helper()
	cmd := z.release.Command(args[0], args[1:]...)
	cmd.Env = append(cmd.Env, "HOME=/root")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		z.Fatal(err)
	}
	return cmd.ProcessState, out.String()
}

func (z *zypped) must(args ...string) string {
	z.Helper()
	state, said := z.run(args...)
	if !state.Success() {
		z.Fatalf("%s: %v, said\n%s", strings.Join(args, " "), state, said)
	}
	return said
}

// zypper changes packages.
func (z *zypped) zypper(args ...string) (*os.ProcessState, string) {
	z.Helper()
	state, said := z.run(append([]string{"zypper", "--non-interactive", "--no-gpg-checks"}, args...)...)
	z.Logf("zypper %s: %v\n%s", strings.Join(args, " "), state, said)
	return state, said
}

// goesOn wants zypper to succeed, and returns what it said.
func (z *zypped) goesOn(args ...string) string {
	z.Helper()
	state, said := z.zypper(args...)
	if !state.Success() {
		z.Errorf("zypper %s: %v", strings.Join(args, " "), state)
	}
	return said
}

// refused wants zypper to end before anything changes, and to say why, once.
func (z *zypped) refused(why string, args ...string) {
	z.Helper()
	before := z.installed()
	state, said := z.zypper(args...)
	if s := state.Sys().(syscall.WaitStatus); s.Signal() != syscall.SIGHUP {
		z.Errorf("zypper ends with %v", state)
	}
	if strings.Count(said, why) != 1 || !strings.Contains(said, "digestd: zypper is stopped before it changes anything.\n") {
		z.Errorf("zypper does not say %q", why)
	}
	if strings.Contains(said, "Installing:") || strings.Contains(said, "Removing:") {
		z.Error("zypper has begun")
	}
	z.has(before...)
}

func (z *zypped) installed() []string {
	z.Helper()
	names := strings.Fields(z.must("rpm", "-qa", "--qf", "%{name}-%{version}-%{release} "))
	names = slices.DeleteFunc(names, func(n string) bool { return strings.HasPrefix(n, "gpg-pubkey-") })
	slices.Sort(names)
	return names
}

// has wants these packages, no more, and their lists.
func (z *zypped) has(want ...string) {
	z.Helper()
	if got := z.installed(); !slices.Equal(got, want) {
		z.Errorf("installed %q, want %q", got, want)
	}
	lists := []string{}
	for _, n := range want {
		name, evr, _ := strings.Cut(n, "-")
		lists = append(lists, "tlv-"+name+"-0:"+evr+".noarch")
	}
	if !z.Running() {
		return
	}
	if got := z.Names(); !slices.Equal(got, lists) {
		z.Errorf("lists %q, want %q", got, lists)
	}
}

// TestZypper: zypper hears of a refusal before anything changes, also of packages to
// which nobody objects, and goes on whenever digestd cannot be asked.
func TestZypper(t *testing.T) {
	for _, r := range releases {
		if r.Root == "/" {
			continue // this machine's own packages are not a test's
		}
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			z := newZypped(t, r)
			z.Start()
			for _, version := range []string{"1", "2"} {
				if said := z.goesOn("install", "tool="+version); strings.Contains(said, "digestd") {
					z.Error("digestd has something to say")
				}
				z.has("tool-" + version + "-1")
			}

			downgrade := []string{"install", "--oldpackage", "tool=1", "other"}
			z.refused("digestd: tool-1-1.noarch is older than 2-1, which was active here; to permit it once: digestctl rollback grant", downgrade...)
			if log := z.Must("rollback", "log"); strings.Count(log, "rollback-refused") != 1 {
				z.Errorf("log has\n%s\nwant one refusal", log)
			}
			z.Must("deny", "other<2", "--reason", "test")
			z.refused("digestd: other-1-1.noarch is below 2, and so denied", "install", "other", "signed")
			z.Must("deny", "lift", "other<2", "--reason", "test")
			z.Must("floor", "set", "other.noarch", "0:3-1", "--reason", "test")
			z.refused("digestd: other-1-1.noarch is below the floor 3-1", "install", "other", "signed")
			z.Must("floor", "clear", "other.noarch", "--reason", "test")
			z.goesOn("install", "other")
			z.has("other-1-1", "tool-2-1")

			// One that hangs costs zypper its timeout, and one that is away nothing.
			z.setUpRPM("timeout=1")
			z.Signal(syscall.SIGSTOP)
			z.goesOn("remove", "other")
			z.Kill()
			z.setUpRPM("")
			z.goesOn("install", "other")
			z.has("other-1-1", "tool-2-1")
			z.setUpRPM("", "_digestd_on_unreachable refuse")
			z.refused("digestd: no answer at /etc/digestd/run/hook.sock", "install", "signed")

			// A plugin that fails keeps zypper from nothing.
			z.setUpRPM("")
			z.OK(os.Remove(z.Path(zyppHook)))
			z.goesOn("install", "signed")
			z.OK(os.WriteFile(z.Path(zyppHook), []byte("#!/bin/sh\necho nonsense\nexec sleep 1\n"), 0o755))
			z.goesOn("remove", "other")
			z.installHook()
			z.Start()
			z.has("signed-1-1", "tool-2-1")
		})
	}
}
