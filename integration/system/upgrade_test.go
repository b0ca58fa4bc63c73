// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/integration/pkgtest"
)

// former is the last commit whose index has no judgements in it (schema 1).
const former = "4826576"

// formerPrograms builds them from the history of this repository.
func formerPrograms(t *testing.T) pkgtest.Programs {
	t.Helper()
	if err := exec.Command("git", "cat-file", "-e", former+"^{commit}").Run(); err != nil {
		t.Skipf("there is no history here that has %s: %v", former, err)
	}
	source := t.TempDir()
	if err := pkgtest.SourceOf(former, source); err != nil {
		t.Fatal(err)
	}
	old, err := pkgtest.BuildProgramsOf(source, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return old
}

// TestUpgradeDuringTransaction: an index of schema 1 opens, its lists stand, and a
// transaction that the former digestd began is taken over. The former digestd does not
// touch what today's has written.
func TestUpgradeDuringTransaction(t *testing.T) {
	old := formerPrograms(t)
	g := newManager(t)
	g.Config = []string{"unsigned = \"allow\"\n"}
	g.Programs, g.Former = old, true
	g.importKey("vendor")
	g.up()
	upgrade := []string{"-U"}
	var first, want []string
	for i := range 6 {
		name := fmt.Sprintf("p%02d", i)
		first = append(first, g.build(name+"-1-1.noarch", "/usr/share/"+name+"=one"))
		upgrade = append(upgrade, g.build(name+"-2-1.noarch", "/usr/share/"+name+"=two"))
		want = append(want, "tlv-"+name+"-0:2-1.noarch")
	}
	g.RPM(append([]string{"-U"}, first...)...)
	counter := g.Status().Counter
	gate, wait, open := g.gate("Requires: p00 p01 p02")
	g.OK(exec.Command("cp", gate, g.In("packages", "gate-1-1.noarch.rpm")).Run())
	cmd := g.RPMCommand(append(upgrade, "gate-1-1.noarch.rpm")...)
	out, err := cmd.StderrPipe()
	g.OK(err)
	g.OK(cmd.Start())
	wait()
	g.down()
	g.Programs, g.Former = programs, false
	g.up()
	if log := g.Log(); !strings.Contains(log, "transaction taken over") {
		t.Errorf("nothing was taken over:\n%s", log)
	}
	open()
	said, _ := io.ReadAll(out)
	if err := cmd.Wait(); err != nil || strings.Contains(string(said), "digestd") {
		t.Errorf("rpm: %v, it said:\n%s", err, said)
	}
	g.WantLists(append([]string{"tlv-gate-0:1-1.noarch"}, want...)...)
	g.Wholesome()
	if aside, err := os.ReadDir(g.Lists() + ".quarantine"); err != nil || len(aside) > 0 {
		t.Errorf("put aside: %v %v", aside, err)
	}
	if now := g.Status().Counter; now < counter {
		t.Errorf("the counter fell from %d to %d", counter, now)
	}
	g.RPMFails([]string{"older"}, "-U", "--oldpackage", first[0])
	g.Must("status")

	g.down()
	index, err := os.ReadFile(g.In("state", "index.db"))
	g.OK(err)
	g.Programs, g.Former = old, true
	g.launch()
	g.eventuallySays("newer digestd")
	g.Kill()
	if now, err := os.ReadFile(g.In("state", "index.db")); err != nil || string(now) != string(index) {
		t.Errorf("the former digestd changed the index: %v", err)
	}
	g.Programs, g.Former = programs, false
	g.up()
	g.WantLists(append([]string{"tlv-gate-0:1-1.noarch"}, want...)...)
	g.Must("status")
}

// eventuallySays waits for a text in what digestd says.
func (g *manager) eventuallySays(text string) {
	g.Helper()
	for until := time.Now().Add(time.Minute); !strings.Contains(g.Log(), text); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(until) {
			g.Fatalf("it does not say %q:\n%s", text, g.Log())
		}
	}
}
