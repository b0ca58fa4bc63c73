// SPDX-License-Identifier: Apache-2.0

package matrix_test

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// step is one thing that somebody does, and what must be so after it.
type step struct {
	name string
	do   func(c *cell) // what the package manager does not
	verb string        // of the package manager
	pkg  string
	with string // another package of the same transaction, to which nobody objects

	refused   bool     // the package manager fails, and nothing changes
	early     bool     // by one that asks: before anything is downloaded
	says      string   // once
	has       []string // packages that are installed, and have their lists
	chatty    bool     // the manager may speak of digestd
	unlabeled bool     // their files were written while nobody could name a list
}

var scenario = []step{
	{name: "install", verb: "install", pkg: "tool-1-1", has: []string{"tool-1-1"}},
	{name: "upgrade", verb: "upgrade", pkg: "tool-2-1", has: []string{"tool-2-1"}},
	{name: "downgrade refused", verb: "downgrade", pkg: "tool-1-1", refused: true, early: true,
		says: "digestd: tool-1-1.noarch is older than 2-1, which was active here; to permit it once: digestctl rollback grant tool-1-1.noarch --reason WHY",
		has:  []string{"tool-2-1"}},
	{name: "granted downgrade", do: func(c *cell) {
		// One of them was stopped, once, no matter which asked first.
		if log := c.Must("rollback", "log"); strings.Count(log, "rollback-refused") != 1 {
			c.Errorf("log has\n%s\nwant one refusal", log)
		}
		c.Must("rollback", "grant", "tool-1-1.noarch", "--reason", "test")
	}, verb: "downgrade", pkg: "tool-1-1", has: []string{"tool-1-1"}},
	{name: "remove", verb: "remove", pkg: "tool", has: []string{}},
	{name: "revoked key", do: func(c *cell) { c.Must("keys", "revoke", stolen.Fingerprint(), "--reason", "lost") },
		verb: "install", pkg: "signed-1-1", with: "other-1-1", refused: true, says: "digestd: signed-1-1.noarch: signature by key ", has: []string{}},
	{name: "restored key", do: func(c *cell) { c.Must("keys", "restore", stolen.Fingerprint(), "--reason", "found") },
		verb: "install", pkg: "signed-1-1", has: []string{"signed-1-1"}},
	{name: "denied package", do: func(c *cell) { c.Must("deny", "other<2", "--reason", "test") },
		verb: "install", pkg: "other-1-1", refused: true, early: true, says: "digestd: other-1-1.noarch is below 2, and so denied", has: []string{"signed-1-1"}},
	{name: "lifted denial", do: func(c *cell) { c.Must("deny", "lift", "other<2", "--reason", "test") },
		verb: "install", pkg: "other-1-1", has: []string{"other-1-1", "signed-1-1"}},
	{name: "without dnf's hook", do: func(c *cell) { os.Remove(c.outside("digestd-hook")) },
		verb: "remove", pkg: "other", chatty: true, has: []string{"signed-1-1"}},
	{name: "a hook again", do: func(c *cell) { c.installHooks(c.outside("")) }},
	{name: "proceed while the daemon hangs", do: func(c *cell) {
		syscall.Kill(c.PID(), syscall.SIGSTOP)
		c.writeMacros("timeout=1")
	}, verb: "remove", pkg: "signed", says: "digestd: no answer at "},
	{name: "refuse without the daemon", do: func(c *cell) {
		c.Kill()
		c.writeMacros("", "_digestd_on_unreachable refuse")
	}, verb: "install", pkg: "other-1-1", refused: true, early: true, says: "digestd: no answer at "},
	{name: "proceed without the daemon", do: func(c *cell) { c.writeMacros("") },
		verb: "install", pkg: "other-1-1", says: "digestd: no answer at "},
	{name: "the daemon is back", do: func(c *cell) { c.Start() }, has: []string{"other-1-1"}, unlabeled: true},
}

// TestEveryPackageManager: every program that changes packages prints the same
// and leaves the same lists.
func TestEveryPackageManager(t *testing.T) {
	for _, r := range releases {
		for _, m := range r.managers {
			t.Run(r.Name+"/"+m.name, func(t *testing.T) {
				t.Parallel()
				c := newCell(t, r, m)
				c.initialise()
				c.Start()
				for _, s := range scenario {
					if !t.Run(s.name, func(t *testing.T) { c.TB = t; c.take(s) }) {
						break // the others build on it
					}
				}
				c.TB = t
			})
		}
	}
}

func (c *cell) take(s step) {
	if s.do != nil {
		s.do(c)
	}
	if s.verb != "" {
		c.change(s)
	}
	if s.has != nil {
		c.wantExactly(s)
	}
}

// change runs the package manager.
func (c *cell) change(s step) {
	os.Remove(c.outside("root/probe"))
	c.fetched.Store(0)
	pkgs := strings.Fields(s.pkg + " " + s.with)
	code, said := c.run(c.manager.args(c, s.verb, pkgs)...)
	c.Logf("%s %s: code %d\n%s", s.verb, pkgs, code, said)
	if (code != 0) != s.refused {
		c.Errorf("code %d, want refused: %v", code, s.refused)
	}
	flat := strings.Join(strings.Fields(said), " ") // dnf breaks lines where it likes
	if n := strings.Count(flat, s.says); s.says != "" && n != 1 {
		c.Errorf("%q is said %d times", s.says, n)
	}
	if s.says == "" && !s.chatty && strings.Contains(said, "digestd") {
		c.Error("digestd has something to say")
	}
	if n := c.fetched.Load(); c.manager.asks && s.early && n != 0 {
		c.Errorf("%d packages downloaded", n)
	}
	if s.with != "" && !c.manager.asks {
		// rpm cannot be asked about headers before it begins, and leaves out only
		// what it must not install.
		name, _, _ := strings.Cut(s.with, "-")
		c.must(c.manager.args(c, "remove", []string{name})...)
	}
	// A package whose scriptlet ran its own program was vouched for by then.
	probe, err := os.ReadFile(c.outside("root/probe"))
	if ran := !s.refused && strings.HasPrefix(s.pkg, "tool-"); ran && string(probe) != "vouched for" || !ran && err == nil {
		c.Errorf("the scriptlet says %q, %v", probe, err)
	}
}

// wantExactly wants these packages in the database, and their lists, no more;
// and their files labelled.
func (c *cell) wantExactly(s step) {
	if got := c.installed(); !slices.Equal(got, s.has) {
		c.Errorf("installed %q, want %q", got, s.has)
	}
	want := []string{}
	for _, n := range s.has {
		name, evr, _ := strings.Cut(n, "-")
		list := "tlv-" + name + "-0:" + evr + ".noarch"
		want = append(want, list)
		label := list
		if s.unlabeled {
			label = ""
		}
		if got := c.Label("/usr/bin/" + name); got != label {
			c.Errorf("/usr/bin/%s has label %q, want %q", name, got, label)
		}
	}
	if got := c.Names(); !slices.Equal(got, want) {
		c.Errorf("lists %q, want %q", got, want)
	}
}
