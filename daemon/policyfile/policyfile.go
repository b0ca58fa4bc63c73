// SPDX-License-Identifier: Apache-2.0

// Package policyfile finds policy files and has the ledger take over what they say: those
// that packages brought, of which it says which list vouches for their content, and those
// of the administrator. See [policies] for which of them count.
package policyfile

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"

	"github.com/digestd/digestd/daemon/deny"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/keysource"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/policies"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// Dir is where packages have their policy files, below the root.
const Dir = "/usr/lib/digestd/policy.d"

// Source finds policy files.
type Source struct {
	*host.Host
	denier *deny.Denier
	keys   *keysource.Source
	mu     sync.Mutex // one look at a time

	// Find finds the files. A test can give another.
	Find func() policies.Sources
	// Changed hears that what policies say is something else. It is called outside of turns.
	Changed func()
}

// New returns a Source of the policy files of a host.
func New(h *host.Host, d *deny.Denier, k *keysource.Source) *Source {
	p := &Source{Host: h, denier: d, keys: k, Changed: func() {}}
	p.Find = p.find
	return p
}

// Directories returns the directories of policy files, as paths of this process.
func (p *Source) Directories() []string {
	return []string{p.Config.Policy, filepath.Join(p.Config.Root, Dir)}
}

// Refresh reads the policy files again and brings them to the ledger. When it returns nil,
// their rules are durable, and no list that they refuse is in the directory. After an error
// either nothing has changed, or the next comparison does the rest.
func (p *Source) Refresh(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	src := p.Find()
	if snap := p.Snapshot(); len(src.Files) == 0 && src.Err == nil && len(snap.Policies)+len(snap.Unheard) == 0 && !told(snap) {
		return nil
	}
	changed := false
	err := p.change(ctx, func(s *ledger.Ledger) error {
		changed = policies.Adopt(s.Grounds, &src)
		return nil
	})
	if err != nil {
		return fmt.Errorf("cannot take over policy files: %w", err)
	}
	if !changed {
		return nil
	}
	return p.follow(ctx)
}

// told reports whether there is a problem about policy files that may be over.
func told(snap *view.Snapshot) bool {
	for _, problem := range snap.Problems {
		if problem.ID == policies.Problem {
			return true
		}
	}
	return false
}

// Forget lifts the rules that stayed of a policy whose file is gone; see [policies.Forget].
func (p *Source) Forget(ctx context.Context, name string, act func(*ledger.Ledger) (record.Act, error)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.change(ctx, func(s *ledger.Ledger) error {
		a, err := act(s)
		if err != nil {
			return err
		}
		return policies.Forget(s.Grounds, name, a)
	})
	if err != nil {
		return err
	}
	return p.follow(ctx)
}

func (p *Source) change(ctx context.Context, fn func(*ledger.Ledger) error) error {
	return p.Exec.Decide(ctx, "policy", fn)
}

// follow does what comes after a change of what policies say, even if ctx has ended. It
// requests a comparison, which repeats failed steps.
func (p *Source) follow(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	p.WantSync("policy files changed") // what is not forbidden any more comes back
	p.denier.Changed()
	p.Changed()
	if err := p.keys.Refresh(ctx, true); err != nil {
		p.Logger.Warn("keyring not refreshed", "error", err)
	}
	if !denies(p.Snapshot()) {
		return nil
	}
	if _, err := p.denier.Enforce(ctx); err != nil {
		return fmt.Errorf("cannot take what policies deny out of all lists yet: %w", err)
	}
	return nil
}

// denies reports whether a policy denies contents.
func denies(snap *view.Snapshot) bool {
	for _, said := range snap.Said {
		if slices.ContainsFunc(said.Denials, func(d policy.Denial) bool { return len(d.Contents) > 0 }) {
			return true
		}
	}
	return false
}

// inForce returns the records of policies that came with packages, by their path.
func inForce(snap *view.Snapshot) map[string]record.Policy {
	byPath := map[string]record.Policy{}
	for _, name := range slices.Sorted(maps.Keys(snap.Policies)) {
		if r := snap.Policies[name]; r.Package != "" {
			byPath[r.Path] = r
		}
	}
	return byPath
}
