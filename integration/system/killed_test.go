// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"os/exec"
	"slices"
	"testing"

	"github.com/digestd/digestd/integration/pkgtest"
)

// TestKilledWhileJudging: a list that another release took for one of a signed package
// leaves before a start is over, wherever digestd died while it verified the header again.
func TestKilledWhileJudging(t *testing.T) {
	pkgtest.Crashes[changing]{
		Passes: pkgtest.Passes{"judge": pkgtest.AllEffects("judge")},
		Prepare: func(t *testing.T) changing {
			m := newMachine(t)
			m.importKey("vendor")
			m.Config = []string{`unsigned = "allow"`}
			m.Start()
			m.RPM("-U", m.build("plain-1-1.noarch", "key="), m.build("signed-1-1.noarch"))
			m.WantLists("tlv-plain-0:1-1.noarch", "tlv-signed-0:1-1.noarch")
			before := m.counter()
			m.Stop()
			var key, signature any
			m.editLists(t, func(list map[string]any) {
				if list["key"] != nil {
					key, signature = list["key"], list["signature"]
				}
			})
			m.editLists(t, func(list map[string]any) { list["rules"], list["key"], list["signature"] = "0 0.0.1", key, signature })
			m.Config = []string{`unsigned = "withhold"`}
			return changing{machine: m, before: before}
		},
		After: func(m changing, _ pkgtest.Death) {
			if got := m.Names(); !slices.Equal(got, []string{"tlv-signed-0:1-1.noarch"}) {
				m.Errorf("when the start was over the list directory had %v", got)
			}
			m.Wholesome()
			m.notFallen()
			m.unsuspected()
		},
	}.Try(t)
}

// TestKilledWhileRetrying: a list that could not be removed leaves once it can be, wherever
// digestd died while it tried again.
func TestKilledWhileRetrying(t *testing.T) {
	const left = "tlv-up-0:1-1.noarch"
	release := func(m changing) { exec.Command("chattr", "-i", m.list(left)).Run() }
	pkgtest.Crashes[changing]{
		Passes: pkgtest.Passes{"chores": pkgtest.AllEffects("chores")},
		Prepare: func(t *testing.T) changing {
			m := newChanging(t)
			m.immutable(left)
			m.RPM("-e", "up")
			m.AwaitProblem("leftover")
			m.before = m.counter()
			return m
		},
		Do: func(m changing) {
			release(m)
			if !pkgtest.Await(func() bool { return m.Exited() || !slices.Contains(m.Names(), left) }) {
				m.Errorf("it is still there: %v", m.Names())
			}
			m.Digestctl("status").Run() // which waits for its turn
		},
		After: func(m changing, _ pkgtest.Death) {
			release(m)
			m.Solved("leftover")
			m.WantLists("tlv-gone-0:1-1.noarch", "tlv-same-0:1-1.noarch")
			m.converged(m.before)
			m.unsuspected()
		},
	}.Try(t)
}
