// SPDX-License-Identifier: Apache-2.0

package bench_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/digestd/digestd/daemon/api"
	"github.com/godbus/dbus/v5"
)

// clients lets many programs of many users ask at the same time, each one
// question after the other.
func (l *lab) clients() {
	const programs, questions = 200, 10
	users := l.accounts(20)
	l.letIn(l.root.Dir)
	var took, longest, peaks pair
	l.alternate(func(s side) {
		d := l.daemon(s, l.root)
		d.Start()
		var conns []dbus.BusObject
		for i := range programs {
			conns = append(conns, d.Bus.ConnectAs(users[i%len(users)]).Object("org.digestd1", "/org/digestd1"))
		}
		times := make([]sample, programs)
		var group sync.WaitGroup
		for i, manager := range conns {
			random := rand.New(rand.NewPCG(uint64(i), 2))
			group.Go(func() {
				for range questions {
					path := filepath.Join(l.root.Dir, l.content.Paths[random.IntN(len(l.content.Paths))])
					var answer map[string]dbus.Variant
					var err error
					times[i].add(timed(func() { err = manager.Call("org.digestd1.Manager.Why", 0, path).Store(&answer) }).Seconds())
					if err != nil {
						l.Error(err)
						return
					}
					if v := answer["verdict"].Value(); v != string(api.VerdictVouched) && v != string(api.VerdictUnread) {
						l.Errorf("verdict on %s is %v: %v", path, v, answer)
						return
					}
				}
			})
		}
		group.Wait()
		var all sample
		for _, t := range times {
			all.values = append(all.values, t.values...)
		}
		if len(all.values) != programs*questions {
			l.FailNow()
		}
		took[s.at].add(all.median())
		longest[s.at].add(all.quantile(1))
		peaks[s.at].add(inMiB(status(l, d.PID(), "VmHWM")))
		d.Stop()
	})
	b := atMost(1, "s")
	l.report.row(fmt.Sprintf("%d clients of %d users, each asking `why` %d times, one after the other: median", programs, len(users), questions), "s",
		took, b.aim(0.5, "s"))
	l.report.row("The same: the longest", "s", longest, informs)
	b = atMost(96, "MiB")
	l.report.row("The same: peak memory (VmHWM)", "MiB", peaks, b.aim(64, "MiB"))
}

// accounts returns numbers of users of this machine who are not root, at most so many:
// dbus-daemon serves nobody whom it cannot look up.
func (l *lab) accounts(most int) (uids []int) {
	l.Helper()
	data, err := os.ReadFile("/etc/passwd")
	if err != nil {
		l.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Split(line, ":"); len(f) > 2 && len(uids) < most {
			if uid, err := strconv.Atoi(f[2]); err == nil && uid > 0 {
				uids = append(uids, uid)
			}
		}
	}
	if len(uids) == 0 {
		l.Fatal("this machine has no users")
	}
	return uids
}

// letIn lets every user reach what lies in dir, which a temporary directory does
// not.
func (l *lab) letIn(dir string) {
	l.Helper()
	for ; dir != "/"; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err == nil && info.Mode().Perm()&0o001 == 0 {
			err = os.Chmod(dir, info.Mode().Perm()|0o011)
		}
		if err != nil {
			l.Fatal(err)
		}
	}
}
