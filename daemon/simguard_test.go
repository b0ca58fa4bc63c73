// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"time"

	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/guardtest"
	"github.com/digestd/digestd/daemon/sim"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/kernel/guard"
)

// A guarded machine has a digestd-guard whose maps are memory of the test. They outlive
// digestd, and change what fails there is an effect like any other.

// simGuard is the guard of one machine.
type simGuard struct {
	kernel *guardtest.Memory
	saved  *guardtest.Memory // as its latest snapshot has it, nil if there is none
	asked  int               // how often it was compared with the lists
	away   bool
	conn   net.Conn // to digestd, nil if there was none
}

// dial connects digestd to the guard.
func (g *simGuard) dial(f *faults) (*protocol.Client, error) {
	if g.away {
		return nil, errors.New("it is away")
	}
	log := slog.New(slog.DiscardHandler)
	keeper, err := protocol.NewKeeper(faultyMaps{g.kernel, f}, protocol.Facts{Wanted: protocol.Change{Mode: "enforce"}, Most: guard.Enforce})
	if err != nil {
		return nil, err
	}
	ours, theirs := net.Pipe()
	g.conn = theirs
	go (&protocol.Server{Keeper: keeper, Denials: &protocol.Log{}, Log: log}).Converse(context.Background(), patient{theirs}, wire.Peer{})
	return protocol.NewClient(patient{ours}), nil
}

// patient is a connection that waits as long as it takes.
type patient struct{ net.Conn }

func (patient) SetReadDeadline(time.Time) error  { return nil }
func (patient) SetWriteDeadline(time.Time) error { return nil }

// restart ends the guard. Unless it stays away, the next begins with the same maps, with
// those of its latest snapshot, or with none.
func (g *simGuard) restart(how string) {
	if g.conn != nil {
		g.conn.Close()
	}
	g.away = how == sim.GuardAway
	switch {
	case how == sim.GuardOld && g.saved != nil:
		g.kernel = copyOf(g.saved)
	case how == sim.GuardOld, how == sim.GuardEmpty:
		g.kernel = guardtest.NewMemory()
	}
}

func copyOf(m *guardtest.Memory) *guardtest.Memory {
	c := *m
	c.Lists = maps.Clone(m.Lists)
	return &c
}

// faultyMaps are maps of which changes may fail in the middle.
type faultyMaps struct {
	*guardtest.Memory
	faults *faults
}

// half makes a change, or fails, with a part of it done unless digestd is dead.
func (m faultyMaps) half(effect string, digests []guard.Digest, change func([]guard.Digest) error) error {
	err := m.faults.hit(effect)
	switch {
	case err == nil:
		return change(digests)
	case !errors.Is(err, errDead):
		change(digests[:len(digests)/2])
	}
	return err
}

func (m faultyMaps) Admit(digests []guard.Digest) error {
	return m.half("admit", digests, m.Memory.Admit)
}

func (m faultyMaps) Expel(digests []guard.Digest) error {
	return m.half("expel", digests, m.Memory.Expel)
}

func (m faultyMaps) Replace(total int, next func() ([]guard.Digest, []uint32, error)) error {
	if err := m.faults.hit("replace"); err != nil {
		if !errors.Is(err, errDead) {
			m.Memory.At = 0
		}
		for { // a pipe keeps nothing for later
			if _, _, end := next(); end != nil {
				return err
			}
		}
	}
	return m.Memory.Replace(total, next)
}

func (m faultyMaps) SetCommit(n uint64) error {
	if err := m.faults.hit("guard-commit"); err != nil {
		return err
	}
	return m.Memory.SetCommit(n)
}

// Guard restarts the guard, and has digestd notice.
func (m *simMachine) Guard(how string) error {
	if m.guard == nil {
		return nil
	}
	m.guard.restart(how)
	m.d.rooms.Guard.Lost(m.ctx())
	m.d.rooms.Guard.Agree(m.ctx())
	return m.after(nil)
}

// Enforced compares what the guard lets run with what lists in the directory hold.
func (m *simMachine) Enforced(rest bool) string {
	switch {
	case m.guard == nil:
		return ""
	case m.d.rooms.Guard.Agreed:
	case rest && !m.guard.away:
		return "digestd has not told it of all lists"
	default:
		return "" // digestd knows, and says so
	}
	want := m.counts()
	for digest, n := range m.guard.kernel.Lists {
		c, known := m.contents[digest]
		if !known || want[c] != n {
			return fmt.Sprintf("content %d is in %d lists, and the guard counts %d", c, want[c], n)
		}
		delete(want, c)
	}
	for c, n := range want {
		return fmt.Sprintf("content %d is in %d lists, and it does not let it run", c, n)
	}
	commit := m.index().(interface{ Commits() uint64 }).Commits()
	if at := m.guard.kernel.At; at != commit && (rest || at != 0) {
		return fmt.Sprintf("it agrees with commit %d, and the index is at %d", at, commit)
	}
	if m.guard.asked++; m.guard.asked%3 == 0 && m.guard.kernel.At != 0 {
		m.guard.saved = copyOf(m.guard.kernel)
	}
	return ""
}

// counts is in how many lists each content is.
func (m *simMachine) counts() map[int]uint32 {
	counts := map[int]uint32{}
	for name, data := range m.lists.All() {
		for _, c := range m.list(name, data).contents {
			counts[c]++
		}
	}
	return counts
}

// Surplus is what a guard that digestd takes for one that knows all lists counts too often.
// What it does not count is made good by the comparison: until then files are kept from
// running, and nothing runs that must not.
func (m *simMachine) Surplus() string {
	if m.guard == nil || !m.d.rooms.Guard.Agreed {
		return ""
	}
	there := m.counts()
	for digest, n := range m.guard.kernel.Lists {
		if c, known := m.contents[digest]; !known || n > there[c] {
			return fmt.Sprintf("content %d is in %d lists, and the guard counts %d", c, there[c], n)
		}
	}
	return ""
}
