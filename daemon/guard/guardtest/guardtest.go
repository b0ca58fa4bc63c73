// SPDX-License-Identifier: Apache-2.0

// Package guardtest serves a guard that is memory of the process, for tests of what is on
// either side of the socket. The kernel's own is tried in integration/vm/guard.
package guardtest

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"

	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/exempt"
	"github.com/digestd/digestd/kernel/guard"
)

// Memory keeps what the kernel would.
type Memory struct {
	Lists map[guard.Digest]uint32
	At    uint64 // the commit
	Is    guard.Settings
	Fail  error // of every change of digests
	Most  int   // how many there can be

	Exempt  guard.Exemptions
	Keepers []guard.Digest
}

// NewMemory returns one in mode Off that has no digest.
func NewMemory() *Memory { return &Memory{Lists: map[guard.Digest]uint32{}, Most: 1 << 30} }

// Admit is that of bpf.Set.
func (m *Memory) Admit(digests []guard.Digest) error {
	m.At = 0
	for _, d := range digests {
		m.Lists[d]++
	}
	return m.Fail
}

// Expel is that of bpf.Set.
func (m *Memory) Expel(digests []guard.Digest) error {
	m.At = 0
	for _, d := range digests {
		if m.Lists[d]--; m.Lists[d] == 0 {
			delete(m.Lists, d)
		}
	}
	return m.Fail
}

// Replace is that of bpf.Set.
func (m *Memory) Replace(_ int, next func() ([]guard.Digest, []uint32, error)) error {
	m.At = 0
	lists := map[guard.Digest]uint32{}
	for {
		digests, n, err := next()
		if errors.Is(err, io.EOF) {
			m.Lists = lists
			return m.Fail
		}
		if err != nil {
			return err
		}
		for i, d := range digests {
			lists[d] = n[i]
		}
	}
}

// Listed is that of bpf.Set.
func (m *Memory) Listed(digests []guard.Digest) ([]bool, error) {
	listed := make([]bool, len(digests))
	for i, d := range digests {
		listed[i] = m.Lists[d] > 0
	}
	return listed, m.Fail
}

// SetKeepers is that of bpf.Set.
func (m *Memory) SetKeepers(digests []guard.Digest) error {
	m.Keepers = digests
	return m.Fail
}

// Commit is that of bpf.Set.
func (m *Memory) Commit() (uint64, error) { return m.At, nil }

// SetCommit is that of bpf.Set.
func (m *Memory) SetCommit(n uint64) error {
	m.At = n
	return nil
}

// Settings is that of bpf.Set.
func (m *Memory) Settings() (guard.Settings, error) { return m.Is, nil }

// SetSettings is that of bpf.Set.
func (m *Memory) SetSettings(s guard.Settings) error {
	m.Is = s
	return nil
}

// Counts is that of bpf.Set.
func (m *Memory) Counts() (guard.Counts, error) { return guard.Counts{Checks: 7}, nil }

// Len is that of bpf.Set.
func (m *Memory) Len() int { return len(m.Lists) }

// Each is that of bpf.Set.
func (m *Memory) Each(do func(guard.Digest, uint32) error) error {
	for d, lists := range m.Lists {
		if err := do(d, lists); err != nil {
			return err
		}
	}
	return nil
}

// SetExemptions is that of bpf.Set.
func (m *Memory) SetExemptions(to guard.Exemptions) error {
	m.Exempt = to
	return nil
}

// Room is that of bpf.Set.
func (m *Memory) Room() (int, error) { return m.Most, nil }

// Serve serves maps to a user at the socket path. Stop ends it.
func Serve(path string, maps protocol.Maps, facts protocol.Facts, denials *protocol.Log, uid int) (stop func() error, err error) {
	keeper, err := protocol.NewKeeper(maps, facts)
	if err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	s := &protocol.Server{Keeper: keeper, Denials: denials, Log: slog.New(slog.DiscardHandler), UID: uint32(uid), Exempt: exempts(keeper)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	return sync.OnceValue(func() error {
		cancel()
		return <-done
	}), nil
}

// exempts exempts one cgroup at a time. Those below user.slice are for others than root.
func exempts(keeper *protocol.Keeper) func(protocol.Exemption) error {
	return func(e protocol.Exemption) error {
		if e.End {
			return keeper.Exempt(nil, guard.Exemptions{})
		}
		g := exempt.Group{Name: exempt.GroupOf(e.Group)}
		if strings.HasPrefix(g.Name, "user.slice") {
			if !e.Force {
				return errors.New(g.Name + " cannot be exempted: user.slice has processes of users")
			}
			g.Forced = e.Reason
		}
		return keeper.Exempt([]exempt.Group{g}, guard.Exemptions{})
	}
}
