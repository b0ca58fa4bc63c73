// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/sim"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/kernel/tpm"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/inmemory"
)

// simChip is a TPM in memory. It fails at random, before or after it has done something: an
// answer that is lost is as a process that dies.
type simChip struct {
	random *rand.Rand
	fails  bool
	name   []byte
	value  uint64
	rises  int
}

var errSimChip = errors.New("the TPM fails")

func (c *simChip) lost() error {
	if c.fails && c.random.IntN(4) == 0 {
		return errSimChip
	}
	return nil
}

func (c *simChip) Read(_ context.Context, n tpm.Counter) ([]byte, uint64, error) {
	if c.name == nil {
		return nil, 0, tpm.ErrNoCounter
	}
	if !bytes.Equal(c.name, n.Name) {
		return c.name, 0, nil
	}
	return c.name, c.value, c.lost()
}

func (c *simChip) Increment(context.Context, tpm.Counter) error {
	if err := c.lost(); err != nil {
		return err
	}
	c.value++
	c.rises++
	return c.lost()
}

func (c *simChip) Define(_ context.Context, _ []byte, n tpm.Counter, _ []byte) error {
	c.name = n.Name
	return nil
}

func (c *simChip) Begin(context.Context, tpm.Counter, []byte) (uint64, error) {
	c.value++
	return c.value, nil
}

func (c *simChip) Remove(context.Context, []byte, tpm.Counter, []byte) error {
	c.name = nil
	return nil
}

func (c *simChip) Identity(context.Context) (tpm.Identity, error) { return tpm.Identity{}, errSimChip }

func (c *simChip) Activate(context.Context, tpm.Credential) ([]byte, error) { return nil, errSimChip }

func (c *simChip) Certify(context.Context, tpm.Counter, []byte) (tpm.Certificate, error) {
	return tpm.Certificate{}, errSimChip
}

// anchoredMachine is a machine in memory whose index is bound to a counter.
type anchoredMachine struct {
	*simMachine
	chip  *simChip
	fault string // what must not be
	saved []simState
}

// simState is a copy of an index, as a backup has it, and its epoch.
type simState struct {
	index *inmemory.Index
	epoch uint64
}

func newAnchoredMachine(seed uint64) (*anchoredMachine, error) {
	base, err := newSimMachine(ledger.SignNone, false, false)
	if err != nil {
		return nil, err
	}
	m := &anchoredMachine{simMachine: base, chip: &simChip{random: rand.New(rand.NewPCG(seed, 1)), value: seed}}
	m.config.Anchor, m.config.AnchorSecret = "tpm:", filepath.Join(m.dir, "anchor.secret")
	m.Stop()
	if err := m.simMachine.Start(); err != nil {
		return m, err
	}
	m.d.rooms.Anchor.Chip = m.chip
	if _, err := m.d.AnchorEnable(m.ctx(), simActor, "", ""); err != nil {
		return m, err
	}
	m.chip.fails = true
	return m, nil
}

// Start compares the index with the counter, as each start does.
func (m *anchoredMachine) Start() error {
	err := m.simMachine.Start()
	if err == nil {
		m.d.rooms.Anchor.Chip = m.chip
		m.pass()
	}
	return err
}

// Compare anchors what was decided by then, now and again, and copies the index.
func (m *anchoredMachine) Compare(in sim.Installed) error {
	err := m.simMachine.Compare(in)
	if err == nil && m.d != nil && m.chip.random.IntN(2) == 0 {
		m.pass()
		if len(m.saved) < 4 {
			m.saved = append(m.saved, simState{m.memoryIndex.Clone(), m.d.AnchorStatus().Epoch})
		}
	}
	return err
}

// pass anchors what is due. What fails at an effect is tried elsewhere.
func (m *anchoredMachine) pass() {
	m.faults.mu.Lock()
	armed := m.faults.armed
	m.faults.armed = sim.Fault{}
	m.faults.mu.Unlock()
	before := m.chip.value
	m.d.rooms.Anchor.Pass(m.ctx())
	m.faults.mu.Lock()
	m.faults.armed = armed
	m.faults.mu.Unlock()
	s := m.d.AnchorStatus()
	switch {
	case s.Standing == api.AnchorOlder || s.Standing == api.AnchorOther:
		m.fault = fmt.Sprintf("nothing came back, and the anchor is %+v", s)
	case s.Epoch < m.chip.value || s.Epoch > m.chip.value+1:
		m.fault = fmt.Sprintf("the index is of epoch %d, and the counter at %d", s.Epoch, m.chip.value)
	case m.chip.value < before:
		m.fault = "the counter fell"
	}
}

func (m *anchoredMachine) Astray() string {
	if m.fault != "" {
		return m.fault
	}
	return m.simMachine.Astray()
}

// restored has an old index come back, and checks what the machine makes of it.
func (m *anchoredMachine) restored(old simState) error {
	in, _ := m.db.has()
	m.Stop()
	m.memoryIndex = memoryIndex{old.index}
	m.chip.fails = false
	if err := m.simMachine.Start(); err != nil {
		return err
	}
	m.d.rooms.Anchor.Chip = m.chip
	now := m.chip.value
	m.d.rooms.Anchor.Pass(m.ctx())
	s := m.d.AnchorStatus()
	if older := now > old.epoch; older != (s.Standing == api.AnchorOlder) {
		return fmt.Errorf("an index of epoch %d came back, the counter was at %d, and the anchor is %+v", old.epoch, now, s)
	} else if !older {
		return nil
	}
	if err := m.simMachine.Compare(in); err != nil {
		return err
	}
	// Nothing older than what is installed gets in, by no grant either.
	for _, p := range in {
		for _, q := range sim.Packages() {
			if q.Name != p.Name || q.Arch != p.Arch || in.Has(q) {
				continue
			}
			pkg := m.nevras[q.String()]
			if nevra.Compare(pkg.EVR, m.nevras[p.String()].EVR) >= 0 {
				continue
			}
			var d policy.Decision
			m.d.Exec.Do(m.ctx(), func() error {
				d = m.d.Exec.State.AdmitIn(&state.Transaction{}, pkg, q.Multi)
				return nil
			})
			if d.Verdict == policy.Allow && d.Reason != policy.ReasonActive {
				return fmt.Errorf("%s may come over %s by an older index: %+v", q, p, d)
			}
		}
	}
	if _, err := m.d.AnchorAccept(m.ctx(), simActor, "simulation"); err != nil {
		return err
	}
	m.Stop()
	if err := m.simMachine.Start(); err != nil {
		return err
	}
	m.d.rooms.Anchor.Chip = m.chip
	m.d.rooms.Anchor.Pass(m.ctx())
	if s := m.d.AnchorStatus(); s.Standing != api.AnchorDone || s.Epoch != m.chip.value {
		return fmt.Errorf("accepted, and the anchor is %+v, the counter at %d", s, m.chip.value)
	}
	return nil
}

// TestHistoriesAnchored tries random histories with a TPM that loses answers: no crash counts
// as an older state, and each older state that comes back in the end is noticed.
func TestHistoriesAnchored(t *testing.T) {
	const seeds = 60
	var restored atomic.Uint64
	for seed := *simFirst; seed < *simFirst+seeds; seed++ {
		m, err := newAnchoredMachine(seed)
		if err != nil {
			t.Fatal(err)
		}
		h := sim.Draw(seed)
		if err = sim.Run(h, m); err == nil && m.d != nil {
			for _, old := range m.saved {
				if m.chip.value > old.epoch {
					restored.Add(1)
				}
				if err = m.restored(old); err != nil {
					break
				}
				break // what comes after an acceptance is another history
			}
		}
		m.close()
		if err != nil {
			t.Errorf("seed %d: %v\n%s", seed, err, strings.TrimSpace(h.String()))
			break
		}
	}
	if restored.Load() < seeds/4 {
		t.Errorf("an older state came back only %d times", restored.Load())
	}
}
