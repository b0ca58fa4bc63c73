// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/ledger/policies"
	"github.com/digestd/digestd/daemon/sim"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/store/record"
)

func (m *simMachine) Revoke(key string) error {
	_, err := m.d.KeyRevoke(m.ctx(), simActor, m.fingerprint(key), "why")
	return m.after(err)
}

func (m *simMachine) Restore(key string) error {
	_, err := m.d.KeyRestore(m.ctx(), simActor, m.fingerprint(key), "why")
	return m.after(err)
}

func (m *simMachine) Keys(present []sim.Certificate) error {
	in, _ := m.db.has()
	if err := m.db.write(in, m.simWorld, present); err != nil {
		return err
	}
	return m.after(m.d.rooms.Reconciler.TrustChanged(m.ctx(), "simulation"))
}

func rangeText(r sim.Range) string {
	return fmt.Sprintf("%s<%s", r.Name, exactly(evrOf(r.Name, r.Below)))
}

// exactly is a version with its epoch, also if that is 0.
func exactly(e nevra.EVR) string { return fmt.Sprintf("%d:%s-%s", e.Epoch, e.Version, e.Release) }

// simStart is day 0.
var simStart = time.Now().Truncate(time.Second)

// now is what the clock says, which goes on by a millisecond whenever it is asked.
func (m *simMachine) now() time.Time {
	return simStart.AddDate(0, 0, m.day).Add(time.Duration(m.ticks.Add(1)) * time.Millisecond)
}

func (m *simMachine) SetClock(day int) { m.day = day }

func (m *simMachine) Expiry(withdraw bool) {
	if m.config.Expired = config.Default().Expired; withdraw {
		m.config.Expired = "withdraw"
	}
}

func (m *simMachine) Deny(r sim.Range) error {
	until := time.Time{}
	if r.Until > 0 {
		until = simStart.AddDate(0, 0, r.Until)
	}
	_, err := m.d.Deny(m.ctx(), simActor, rangeText(r), "", "why", "", until)
	return m.after(err)
}

func (m *simMachine) Lift(r sim.Range) error {
	_, err := m.d.DenialLift(m.ctx(), simActor, rangeText(r), "why")
	return m.after(err)
}

func digestOf(content int) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("content "+strconv.Itoa(content))))
}

func (m *simMachine) DenyContent(content int) error {
	_, err := m.d.Deny(m.ctx(), simActor, digestOf(content), "", "why", "", time.Time{})
	return m.after(err)
}

func (m *simMachine) LiftContent(content int) error {
	_, err := m.d.DenialLift(m.ctx(), simActor, digestOf(content), "why")
	return m.after(err)
}

func (m *simMachine) SetFloor(r sim.Range) error {
	return m.after(m.d.FloorSet(m.ctx(), simActor, r.Name, exactly(evrOf(r.Name, r.Below)), "why"))
}

func (m *simMachine) ClearFloor(name string) error {
	return m.after(m.d.FloorClear(m.ctx(), simActor, name, "why"))
}

func (m *simMachine) Grant(p sim.Package) error {
	_, err := m.d.RollbackGrant(m.ctx(), simActor, m.nevras[p.String()].Full(), "why")
	return m.after(err)
}

func (m *simMachine) TakeGrant(p sim.Package) error {
	return m.after(m.d.RollbackRevoke(m.ctx(), simActor, m.nevras[p.String()].Full()))
}

func (m *simMachine) Unsigned(allow bool) error {
	c := m.config
	c.Unsigned = "withhold"
	if allow {
		c.Unsigned = "allow"
	}
	m.config.Unsigned = c.Unsigned
	return m.after(m.d.reconfigure(m.ctx(), func() (config.Config, error) { return c, nil }))
}

func (m *simMachine) KeepOld(on bool) error {
	if m.config.KeepOld = config.Default().KeepOld; on {
		m.config.KeepOld = keepUntilRestart
	}
	return m.after(m.d.reconfigure(m.ctx(), func() (config.Config, error) { return m.config, nil }))
}

func (m *simMachine) Ban(content int) error {
	m.banned[view.BinPrefix+strings.TrimPrefix(digestOf(content), "sha256:")] = true
	return m.after(m.d.rooms.Reconciler.TrustChanged(m.ctx(), "simulation"))
}

func (m *simMachine) Own(name string, content int) error {
	if err := os.MkdirAll(m.config.State, 0o700); err != nil {
		return err
	}
	var entries []digestlist.Entry
	for _, c := range sim.OwnContents(content) {
		sum := sha256.Sum256([]byte("content " + strconv.Itoa(c)))
		entries = append(entries, digestlist.Entry{Digest: sum[:], Path: fmt.Sprintf("/opt/own/%s/%d", name, c)})
	}
	slices.SortFunc(entries, func(a, b digestlist.Entry) int { return strings.Compare(a.Path, b.Path) })
	body, err := digestlist.AppendTLV(nil, []digestlist.Group{{Algo: digestlist.SHA256, Entries: entries}})
	if err != nil {
		return err
	}
	id, err := m.d.OwnAppend(m.ctx(), simActor, 0, body)
	if err != nil {
		return err
	}
	request := api.OwnRequest{Name: name, Upload: id, Reason: "why"}
	if o, known := m.d.Snapshot().Own[name]; known && o.Removed.IsZero() {
		request.Base = o.Version
	}
	_, err = m.d.OwnPublish(m.ctx(), simActor, request, func(string, int, int) {})
	return m.after(err)
}

func (m *simMachine) OwnRemove(name string) error {
	_, err := m.d.OwnRemove(m.ctx(), simActor, name, "why", func(string, int, int) {})
	return m.after(err)
}

// policies are those of which there is one file or none.
func (m *simMachine) policies() (src policies.Sources) {
	if m.policy != "" {
		src.Files = []policies.File{{Name: "site", Path: "/site.toml", Own: true, Data: []byte(m.policy)}}
	}
	return src
}

func (m *simMachine) Police(floor, denial sim.Range) error {
	m.policy = fmt.Sprintf("version = 1\n[[floor]]\npackage = %q\nversion = %q\nreason = \"why\"\n[[denial]]\npackage = %q\nbelow = %q\nreason = \"why\"\n",
		floor.Name, exactly(evrOf(floor.Name, floor.Below)), denial.Name, exactly(evrOf(denial.Name, denial.Below)))
	return m.after(m.d.rooms.Policies.Refresh(m.ctx()))
}

func (m *simMachine) PoliceGone() error {
	m.policy = ""
	return m.after(m.d.rooms.Policies.Refresh(m.ctx()))
}

func (m *simMachine) PoliceForget() error {
	_, err := m.d.PolicyForget(m.ctx(), simActor, "site", "why")
	return m.after(err)
}

func (m *simMachine) Advise(repository string, r sim.Range) error {
	name := record.OriginAdvisory + repository
	o := record.Origin{Name: name, Strength: "unsigned", Keys: []string{m.fingerprint(sim.Repositories[repository])}, Stamp: "stamp", Made: simStart}
	floor := record.AdvisedFloor{Origin: name, Name: r.Name, EVR: evrOf(r.Name, r.Below), Why: "VSA"}
	return m.after(m.d.Advise(m.ctx(), o, []record.AdvisedFloor{floor}))
}

func (m *simMachine) ForgetAdvice(repository string) error {
	return m.after(m.d.AdvisoriesForget(m.ctx(), simActor, repository, "why"))
}

func (m *simMachine) Look() error {
	m.d.Follow(m.ctx(), nil)
	return m.after(nil)
}

func (m *simMachine) Order(p sim.Package) error {
	_, err := m.d.OrderSet(m.ctx(), simActor, [][]byte{[]byte(m.file(p))}, "why")
	return m.after(err)
}

func (m *simMachine) Prefetch(on bool) error {
	return m.after(m.d.OrderPrefetch(m.ctx(), simActor, on))
}

func (m *simMachine) Rotate() error {
	_, err := m.d.SignerRotate(m.ctx(), simActor, false, "why")
	if effect, _ := m.faults.fired(); err == nil && effect == "" {
		m.signedAnew()
	}
	return m.after(err)
}

// signedAnew sees that the certificate that signs now signed all lists.
func (m *simMachine) signedAnew() {
	if name := m.signedByAnother(); name != "" && !m.lists.others[name] {
		m.order.violated("an answer that all lists are signed with the new key")
	}
}
