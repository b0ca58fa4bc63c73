// SPDX-License-Identifier: Apache-2.0

package enforce

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/executor"
	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/exempt"
	"github.com/digestd/digestd/daemon/ledger"
)

// metaExempt is what policies had the guard exempt: JSON, entries as the setting
// guard-exempt has them. It is recorded before the guard is told, so that none stays exempt
// by a policy that is gone.
const metaExempt = "guard-exempt"

// exemptions are those of policies.
type exemptions struct {
	wanted chan struct{} // there may be others, or the guard is another
	told   []string      // of which the guard was told
}

// remember takes up what the index has.
func (x *exemptions) remember(data []byte) {
	x.told = nil
	json.Unmarshal(data, &x.told) // what cannot be read ends with the next start of the machine
}

// PoliciesChanged wakes KeepExemptions, because policies may name other containers.
func (g *Guard) PoliciesChanged() {
	if g != nil {
		executor.Wake(g.exempt.wanted)
	}
}

// KeepExemptions makes the guard exempt the containers that policies name, and ends the
// exemptions of policies that are gone, until ctx ends.
func (g *Guard) KeepExemptions(ctx context.Context) error {
	if g == nil {
		return nil
	}
	executor.Wake(g.exempt.wanted)
	for {
		var again <-chan time.Time
		select {
		case <-ctx.Done():
			return nil
		case <-g.exempt.wanted:
		}
		if err := g.exemptNow(ctx); err != nil && ctx.Err() == nil {
			g.Logger.Warn("exemptions of policies not told to the guard", "error", err)
			again = time.After(lastPause)
		}
		if again == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again:
			executor.Wake(g.exempt.wanted)
		}
	}
}

// exemptNow tells the guard which containers policies exempt now. If the guard refuses some,
// status has a problem, and the others are exempt.
func (g *Guard) exemptNow(ctx context.Context) error {
	snap := g.Snapshot()
	want, told := snap.PolicyExemptions(), g.exempt.told
	if len(want)+len(told) == 0 {
		return g.refusedExemptions(ctx, nil)
	}
	all := slices.Concat(told, want)
	slices.Sort(all)
	if err := g.keepExempt(ctx, slices.Compact(all)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, g.patience())
	defer cancel()
	c, err := protocol.Dial(ctx, g.Socket)
	if err != nil {
		return nil // Follow has it told when it is back
	}
	defer c.Close()
	var refused []error
	tell := func(entry string, end bool) error {
		_, reason, force := strings.Cut(entry, " force ")
		err := c.Exempt(ctx, protocol.Exemption{Group: exempt.GroupOf(entry), End: end, Force: force && !end, Reason: reason, For: &protocol.For{}})
		if errors.Is(err, protocol.ErrRefused) {
			if !end { // nothing to end: the machine has started since
				refused = append(refused, err)
			}
			return nil
		}
		return err
	}
	for _, entry := range told {
		if !slices.ContainsFunc(want, func(w string) bool { return exempt.GroupOf(w) == exempt.GroupOf(entry) }) {
			if err := tell(entry, true); err != nil {
				return err
			}
		}
	}
	for _, entry := range want {
		if err := tell(entry, false); err != nil {
			return err
		}
	}
	return errors.Join(g.keepExempt(ctx, want), g.refusedExemptions(ctx, refused))
}

// keepExempt records what the guard is told, if that is something else than before.
func (g *Guard) keepExempt(ctx context.Context, entries []string) error {
	if slices.Equal(entries, g.exempt.told) {
		return nil
	}
	err := g.Exec.Decide(ctx, "guard", func(s *ledger.Ledger) error {
		var data []byte
		if len(entries) > 0 {
			data, _ = json.Marshal(entries) // texts can be
		}
		s.Queue.Batch.SetMeta(metaExempt, data)
		return nil
	})
	if err == nil {
		g.exempt.told = entries
	}
	return err
}

func (g *Guard) refusedExemptions(ctx context.Context, refused []error) error {
	const id = "policy-exempt"
	snap := g.Snapshot()
	known := slices.ContainsFunc(snap.Problems, func(p api.Problem) bool { return p.ID == id })
	if len(refused) == 0 && !known {
		return nil
	}
	return g.Exec.Enter(ctx, "note", func(s *ledger.Ledger) error {
		s.Solved(id)
		if len(refused) > 0 {
			s.Problem(id, api.SeverityWarning, fmt.Sprintf("the guard does not exempt what policies exempt: %v", refused[0]),
				"force it in the policy, or have root alone fill the cgroup; see digestctl guard status")
		}
		s.Show()
		return nil
	})
}
