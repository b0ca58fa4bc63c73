// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strings"
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

// simState is a copy of an index, as a backup has it, its epoch, and what was decided by then.
type simState struct {
	index   *inmemory.Index
	epoch   uint64
	decided simDecisions
	later   string // what was anchored since
}

// simDecisions are what an older index must not undo: least versions by what they are of, and
// what is revoked or denied.
type simDecisions struct {
	least  map[string]nevra.EVR
	others map[string]bool
}

// beyond names something that d has and old does not, "" if there is nothing.
func (d simDecisions) beyond(old simDecisions) string {
	for what, least := range d.least {
		if was, found := old.least[what]; !least.IsZero() && (!found || nevra.Compare(was, least) < 0) {
			return fmt.Sprintf("%s, %s", what, least)
		}
	}
	for what := range d.others {
		if !old.others[what] {
			return what
		}
	}
	return ""
}

// decided is what was decided by now.
func (m *anchoredMachine) decided() simDecisions {
	d := simDecisions{map[string]nevra.EVR{}, map[string]bool{}}
	m.d.Exec.Do(m.ctx(), func() error {
		s := m.d.Exec.State
		for id, l := range s.Lines {
			d.least[fmt.Sprintf("highest version of %v", id)], d.least[fmt.Sprintf("floor of %v", id)] = l.High, l.Floor
		}
		for id, k := range s.Keys {
			if k.Revoked != nil {
				d.others["revoked key "+id] = true
			}
		}
		for id := range s.Denied {
			d.others["denial "+id] = true
		}
		return nil
	})
	return d
}

// save copies the index.
func (m *anchoredMachine) save() {
	m.saved = append(m.saved, m.copied())
	if most := 8; len(m.saved) > most {
		m.saved = m.saved[1:]
	}
}

// copied is the index as it is.
func (m *anchoredMachine) copied() simState {
	return simState{index: m.memoryIndex.Clone(), epoch: m.d.AnchorStatus().Epoch, decided: m.decided()}
}

func newAnchoredMachine(seed uint64) (*anchoredMachine, error) {
	base, err := newSimMachine(ledger.SignNone, false, sim.History{})
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
		m.save()
	}
	return err
}

func (m *anchoredMachine) Revoke(key string) error {
	return m.urgent(func() error { return m.simMachine.Revoke(key) })
}

func (m *anchoredMachine) Deny(r sim.Range) error {
	return m.urgent(func() error { return m.simMachine.Deny(r) })
}

func (m *anchoredMachine) DenyContent(content int) error {
	return m.urgent(func() error { return m.simMachine.DenyContent(content) })
}

func (m *anchoredMachine) SetFloor(r sim.Range) error {
	m.save()
	err := m.simMachine.SetFloor(r)
	if err == nil && m.chip.random.IntN(2) == 0 {
		m.pass()
	}
	return err
}

// urgent does what is anchored before it is answered, or is answered as not anchored yet.
func (m *anchoredMachine) urgent(act func() error) error {
	m.save()
	err := act()
	if err != nil {
		return err
	}
	m.unharmed(func() {
		ctx, cancel := context.WithCancel(m.ctx())
		ended := make(chan error, 1)
		go func() { ended <- m.d.rooms.Anchor.Loop(ctx) }()
		select {
		case m.d.rooms.Anchor.Anchoring <- struct{}{}:
		default:
		}
		for len(m.d.rooms.Anchor.Anchoring) > 0 {
			runtime.Gosched() // the loop does not run yet
		}
		how := m.d.anchored(ctx)
		cancel()
		if err := <-ended; err != nil {
			m.fault = err.Error()
		}
		m.agrees()
		if how != api.AnchorDone {
			return
		}
		m.certain()
		if s := m.d.AnchorStatus(); s.Due || s.Epoch != m.chip.value {
			m.fault = fmt.Sprintf("an act was answered as anchored, the anchor is %+v, and the counter at %d", s, m.chip.value)
		}
	})
	return nil
}

// pass anchors what is due.
func (m *anchoredMachine) pass() {
	m.unharmed(func() {
		if m.d.rooms.Anchor.Pass(m.ctx()) == nil {
			m.certain()
		}
		m.agrees()
	})
}

// certain takes what was decided by now for anchored: a copy without that must be of an epoch
// before the counter's.
func (m *anchoredMachine) certain() {
	now := m.decided()
	for i := range m.saved {
		old := &m.saved[i]
		if old.later == "" {
			old.later = now.beyond(old.decided)
		}
		if old.later != "" && old.epoch >= m.chip.value {
			m.fault = fmt.Sprintf("this was anchored: %s; an index without it is of epoch %d, and the counter is at %d", old.later, old.epoch, m.chip.value)
		}
	}
}

// unharmed does something at which no effect fails: that is tried elsewhere.
func (m *anchoredMachine) unharmed(do func()) {
	m.faults.mu.Lock()
	armed := m.faults.armed
	m.faults.armed = sim.Fault{}
	m.faults.mu.Unlock()
	do()
	m.faults.mu.Lock()
	m.faults.armed = armed
	m.faults.mu.Unlock()
}

// agrees sees that index and counter are as a crash may leave them.
func (m *anchoredMachine) agrees() {
	s := m.d.AnchorStatus()
	switch {
	case s.Standing == api.AnchorOlder || s.Standing == api.AnchorOther:
		m.fault = fmt.Sprintf("nothing came back, and the anchor is %+v", s)
	case s.Epoch < m.chip.value || s.Epoch > m.chip.value+1:
		m.fault = fmt.Sprintf("the index is of epoch %d, and the counter at %d", s.Epoch, m.chip.value)
	}
}

func (m *anchoredMachine) Astray() string {
	if m.fault != "" {
		return m.fault
	}
	return m.simMachine.Astray()
}

// back has an old index come back, and returns how that stands to the counter.
func (m *anchoredMachine) back(old simState) (api.Anchor, error) {
	m.Stop()
	m.memoryIndex = memoryIndex{old.index.Clone()}
	m.chip.fails = false
	if err := m.simMachine.Start(); err != nil {
		return api.Anchor{}, err
	}
	m.d.rooms.Anchor.Chip = m.chip
	m.d.rooms.Anchor.Pass(m.ctx())
	return m.d.AnchorStatus(), nil
}

// noticed sees that an old index is noticed where something was anchored since it was copied.
func (m *anchoredMachine) noticed(old simState) (older bool, err error) {
	now := m.chip.value
	s, err := m.back(old)
	m.chip.value = now
	if older = s.Standing == api.AnchorOlder; err != nil {
		return older, err
	}
	if old.later != "" && !older {
		return older, fmt.Errorf("an index came back from before this was anchored: %s; and the anchor is %+v, the counter at %d", old.later, s, now)
	}
	if older != (now > old.epoch) {
		return older, fmt.Errorf("an index of epoch %d came back, the counter was at %d, and the anchor is %+v", old.epoch, now, s)
	}
	return older, nil
}

// restored has an old index come back that is noticed, and checks what the machine makes of it
// until it is accepted. That is then another state than the latest before.
func (m *anchoredMachine) restored(old, latest simState) error {
	in, _ := m.db.has()
	if _, err := m.back(old); err != nil {
		return err
	}
	if err := m.simMachine.Compare(in); err != nil {
		return err
	}
	admit := func(q sim.Package) (d policy.Decision) {
		m.d.Exec.Do(m.ctx(), func() error {
			d = m.d.Exec.State.AdmitIn(&state.Transaction{}, m.nevras[q.String()], q.Multi)
			return nil
		})
		return d
	}
	for _, q := range sim.Packages() {
		d := admit(q)
		if d.Grant {
			return fmt.Errorf("%s may come by a grant of an older index: %+v", q, d)
		}
		if d.Verdict != policy.Allow || d.Reason == policy.ReasonActive || in.Has(q) {
			continue
		}
		for _, p := range in {
			if q.Name == p.Name && q.Arch == p.Arch && nevra.Compare(m.nevras[q.String()].EVR, m.nevras[p.String()].EVR) < 0 {
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
	if s, err := m.back(latest); err != nil || s.Standing != api.AnchorOlder {
		return errors.Join(fmt.Errorf("what was before the acceptance came back, and the anchor is %+v", s), err)
	}
	return nil
}

// ends is what becomes of the machine in the end: each old index comes back, and one of them
// is accepted. It returns how many were noticed.
func (m *anchoredMachine) ends() (noticed uint64, err error) {
	latest := m.copied()
	var accepted *simState
	for i, old := range m.saved {
		older, err := m.noticed(old)
		if err != nil {
			return noticed, err
		}
		if older {
			noticed++
			accepted = &m.saved[i]
		}
	}
	if accepted == nil {
		return noticed, nil
	}
	return noticed, m.restored(*accepted, latest)
}

// TestHistoriesAnchored tries random histories with a TPM that loses answers: no crash counts
// as an older state, and each older state that comes back in the end is noticed.
func TestHistoriesAnchored(t *testing.T) {
	const seeds = 60
	restored := uint64(0)
	for seed := *simFirst; seed < *simFirst+seeds; seed++ {
		m, err := newAnchoredMachine(seed)
		if err != nil {
			t.Fatal(err)
		}
		h := sim.Draw(seed)
		if err = sim.Run(h, m); err != nil {
			err = fmt.Errorf("%s %w", judge(err), err)
		} else if m.d != nil {
			var noticed uint64
			if noticed, err = m.ends(); err != nil {
				err = fmt.Errorf("the model objects: %w", err)
			}
			restored += noticed
		}
		m.close()
		if err != nil {
			t.Errorf("seed %d: %v\n%s", seed, err, strings.TrimSpace(h.String()))
			return
		}
	}
	t.Logf("%d histories, an older state was noticed %d times", seeds, restored)
	if restored < seeds {
		t.Errorf("an older state was noticed only %d times", restored)
	}
}
