// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/hooks/wire"
	"github.com/google/go-cmp/cmp"
)

// everyDnf runs a test with each package manager that uses librpm.
func everyDnf(t *testing.T, test func(t *testing.T, b *box, dnf string)) {
	for _, m := range machines {
		for _, dnf := range m.dnfs {
			t.Run(m.Name+"/"+dnf, func(t *testing.T) {
				t.Parallel()
				test(t, newBox(t, m), dnf)
			})
		}
	}
}

// dnf runs one on the box's root, with the test's packages as its repository.
// It cannot be given macros but by a file in its home.
func (b *box) dnf(dnf string, args ...string) result {
	b.t.Helper()
	for _, dir := range []string{"home", "log"} {
		if err := os.MkdirAll(b.m.Outside(filepath.Join(b.dir, dir)), 0o700); err != nil {
			b.t.Fatal(err)
		}
	}
	macros := "%" + strings.Join(b.macros(), "\n%") + "\n"
	if err := os.WriteFile(b.m.Outside(filepath.Join(b.dir, "home", ".rpmmacros")), []byte(macros), 0o600); err != nil {
		b.t.Fatal(err)
	}
	cmd := b.m.Command(dnf, append([]string{
		"--assumeyes", "--installroot=" + filepath.Join(b.dir, "root"), "--releasever=1",
		"--repofrompath=test,file://" + filepath.Join(b.m.dir, "packages"), "--repo=test",
		"--setopt=gpgcheck=0", "--setopt=plugins=0", "--setopt=install_weak_deps=0",
		"--setopt=cachedir=" + filepath.Join(b.dir, "cache"), "--setopt=logdir=" + filepath.Join(b.dir, "log"),
	}, args...)...)
	cmd.Env = append(cmd.Env, "HOME="+filepath.Join(b.dir, "home"))
	return b.run(cmd)
}

// wantDnf runs a dnf that must succeed, and wants to be told of a test run of
// what it means to do, and then of the real one.
func (b *box) wantDnf(dnf string, args []string, begin string, facts ...string) {
	b.t.Helper()
	if r := b.dnf(dnf, args...); r.code != 0 {
		b.t.Fatalf("%s %s: code %d, said\n%s%s", dnf, strings.Join(args, " "), r.code, r.stdout, strings.Join(r.lines, "\n"))
	}
	heard := b.messages()
	want := append([]string{"begin " + begin, "end 0", "begin " + begin}, facts...)
	if diff := cmp.Diff(append(want, "end 0"), traceOf(heard)); diff != "" {
		b.t.Fatalf("messages (-want +got):\n%s", diff)
	}
	if first, second := heard[0].(*wire.Begin), heard[2].(*wire.Begin); !first.Test() || second.Test() {
		b.t.Errorf("test runs: %v, then %v; want the first alone", first.Test(), second.Test())
	}
}

// dnf tries each transaction out before it runs it, with the same plugin.
func TestDnf(t *testing.T) {
	everyDnf(t, func(t *testing.T, b *box, dnf string) {
		b.wantDnf(dnf, []string{"install", "multi-1-1"}, "[+multi-1@0]", "header multi-1@0", "installed multi-1@n")
		b.wantDnf(dnf, []string{"upgrade", "multi"}, "[+multi-2@0 -multi-1@n]", "header multi-2@0", "installed multi-2@n", "removed multi-1")
		if got := b.label("/opt/multi/both"); got != listName(0) && got != listName(1) {
			t.Errorf("label %q", got)
		}
		b.wantDnf(dnf, []string{"reinstall", "multi"}, "[+multi-2@0 -multi-2@n]", "header multi-2@0", "installed multi-2@n", "removed multi-2")
		b.wantDnf(dnf, []string{"remove", "multi"}, "[-multi-2@n]", "removed multi-2")
		if b.exists("/opt/multi/both") {
			t.Error("the file is still there")
		}
	})
}

// The user at the terminal sees the reason, whatever dnf does with rpm's log.
func TestDnfShowsWhyNot(t *testing.T) {
	everyDnf(t, func(t *testing.T, b *box, dnf string) {
		b.reply = refuse
		r := b.dnf(dnf, "install", "plain-3:1-1")
		if said := r.stdout + strings.Join(r.lines, "\n"); r.code == 0 || strings.Count(said, reason) != 1 {
			t.Errorf("code %d, want failure and the reason once; said\n%s", r.code, said)
		}
		b.wantTrace("begin [+plain-1@0]")
	})
}

// The test run keeps its worries to itself: one line for both.
func TestDnfWithDaemonGone(t *testing.T) {
	everyDnf(t, func(t *testing.T, b *box, dnf string) {
		b.stop()
		r := b.dnf(dnf, "install", "plain-3:1-1")
		if said := r.stdout + strings.Join(r.lines, "\n"); r.code != 0 || strings.Count(said, "digestd: no answer at ") != 1 {
			t.Errorf("code %d, want success and one line of warning; said\n%s", r.code, said)
		}
		if !b.exists("/opt/plain") {
			t.Error("not installed")
		}
	})
}
