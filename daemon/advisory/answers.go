// SPDX-License-Identifier: Apache-2.0

package advisory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// severities, the worst first.
var severities = []string{"critical", "important", "moderate", "low"}

func rank(severity string) int {
	if i := slices.Index(severities, strings.ToLower(severity)); i >= 0 {
		return i
	}
	return len(severities)
}

// AdvisoryStatus reports the state of the advisories of each repository.
func (a *Adviser) AdvisoryStatus(ctx context.Context) (api.AdvisoryStatus, error) {
	snap := a.Snapshot()
	st := api.AdvisoryStatus{Mode: a.Config.Advisories, Severity: []api.SeverityCount{}, Mend: Mend(a.Config.Root), Origins: []api.AdvisoryOrigin{}}
	all, _ := a.Advisories(ctx)
	for _, p := range all {
		st.Packages++
		if e := snap.List(p.List); !p.Due.IsZero() {
			st.Due++
		} else if e != nil && e.Reason == string(policy.ReasonAdvisory) {
			st.Gone++
		}
		if n := len(st.Severity); n == 0 || st.Severity[n-1].Severity != p.Severity {
			st.Severity = append(st.Severity, api.SeverityCount{Severity: p.Severity})
		}
		st.Severity[len(st.Severity)-1].Packages++
	}
	floors := map[string]int{}
	for _, some := range snap.Advised {
		for _, f := range some {
			floors[f.Origin]++
		}
	}
	for _, o := range snap.Origins {
		st.Origins = append(st.Origins, api.AdvisoryOrigin{Repository: repository(o.Name), Strength: o.Strength, Keys: append([]string{}, o.Keys...),
			Made: o.Made, Read: o.Read, Security: o.Security, Floors: floors[o.Name], Beyond: o.Beyond, Epochs: o.Epochs})
	}
	slices.SortFunc(st.Origins, func(x, y api.AdvisoryOrigin) int { return cmp.Compare(x.Repository, y.Repository) })
	return st, nil
}

func repository(origin string) string { return strings.TrimPrefix(origin, record.OriginAdvisory) }

// Advisories returns the installed packages with a flaw that an advisory fixes, the most
// severe first.
func (a *Adviser) Advisories(context.Context) ([]api.Advised, error) {
	snap := a.Snapshot()
	all := []api.Advised{}
	for _, e := range snap.Entries {
		if f := snap.Below(e); f != nil {
			all = append(all, describe(snap, e, f))
		}
	}
	slices.SortStableFunc(all, func(x, y api.Advised) int {
		return cmp.Or(cmp.Compare(rank(x.Severity), rank(y.Severity)), cmp.Compare(x.Severity, y.Severity), cmp.Compare(x.Package, y.Package))
	})
	return all, nil
}

func describe(snap *view.Snapshot, e *view.Entry, f *record.AdvisedFloor) api.Advised {
	due := e.Due
	if !e.Active() {
		due = time.Time{} // it went
	}
	return api.Advised{Package: e.Package.String(), List: e.Name, State: string(e.State), Mended: f.EVR.String(), Advisory: f.Why, Severity: f.Severity,
		CVEs: append([]string{}, f.CVEs...), Repository: repository(f.Origin), Strength: snap.Origins[f.Origin].Strength, Since: e.Below, Due: due}
}

// AdvisoriesWhy reports the advisories about a package, given as name or name.arch. The
// error is [api.NotFound] if there are none.
func (a *Adviser) AdvisoriesWhy(_ context.Context, text string) (api.AdvisoryWhy, error) {
	snap := a.Snapshot()
	why := api.AdvisoryWhy{Package: text, Versions: []api.AdvisedVersion{}, Installed: []api.Advised{}}
	name, arch := text, ""
	if len(snap.Advised[name]) == 0 {
		if i := strings.LastIndexByte(text, '.'); i > 0 {
			name, arch = text[:i], text[i+1:]
		}
	}
	for i := range snap.Advised[name] {
		f := &snap.Advised[name][i]
		if arch != "" && f.Arch != arch {
			continue
		}
		why.Versions = append(why.Versions, api.AdvisedVersion{Package: view.LineID{Name: name, Arch: f.Arch}.String(), Stream: f.Stream, EVR: f.EVR.String(),
			Advisory: f.Why, Severity: f.Severity, CVEs: append([]string{}, f.CVEs...), Repository: repository(f.Origin), Strength: snap.Origins[f.Origin].Strength,
			Effect: effectOf(snap, f)})
	}
	for _, e := range snap.Entries {
		if e.Package.Name != name || arch != "" && e.Package.Arch != arch || e.Own != "" {
			continue
		}
		if f := snap.Below(e); f != nil {
			why.Installed = append(why.Installed, describe(snap, e, f))
			why.Mend = Mend(a.Config.Root)
		}
		if text := a.stays(e); text != "" && len(why.Versions) > 0 {
			why.Stays = append(why.Stays, fmt.Sprintf("the list of %s is never withdrawn for an advisory: %s", e.Package, text))
		}
	}
	if len(why.Versions) == 0 {
		return why, &api.Error{Code: api.NotFound, Message: "no advisory says anything of " + text, Advice: "see digestctl advisories status"}
	}
	return why, nil
}

// effectOf says what follows from a floor.
func effectOf(snap *view.Snapshot, f *record.AdvisedFloor) string {
	o := snap.Origins[f.Origin]
	switch {
	case len(o.Keys) == 0:
		return "nothing: no key is known that signs the packages of this repository; name one by gpgkey=file:///PATH in its configuration and import it by rpmkeys --import"
	case !snap.Binds:
		return "it is reported"
	}
	return "no older version that its keys signed can be installed"
}

// AdvisoriesForget forgets the advisories of a repository. The error is [api.NotFound] if
// the repository is unknown.
func (a *Adviser) AdvisoriesForget(ctx context.Context, by api.Actor, repository, reason string) error {
	name := record.OriginAdvisory + strings.TrimPrefix(repository, record.OriginAdvisory)
	err := a.Exec.Decide(ctx, "retract", func(s *ledger.Ledger) error {
		act, err := ledger.Act(s, by, reason)
		if err != nil {
			return err
		}
		o, known := s.Origins[name]
		if !known {
			return &api.Error{Code: api.NotFound, Message: "digestd knows no advisories of repository " + repository, Advice: "see digestctl advisories status"}
		}
		s.ForgetOrigin(name, act)
		// Its present advisories were forgotten on purpose; its next ones are applied.
		s.SetOrigin(&s.Queue.Batch, record.Origin{Name: name, Strength: o.Strength, Keys: o.Keys, Stamp: o.Stamp, Made: o.Made, Read: o.Read})
		s.MarkBelow(0, nil)
		s.Show()
		return nil
	})
	if err == nil {
		a.WantSync("the advisories of a repository were forgotten")
	}
	return err
}
