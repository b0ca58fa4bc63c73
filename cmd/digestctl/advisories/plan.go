// SPDX-License-Identifier: Apache-2.0

package advisories

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/repo/updateinfo"
)

// The ways to treat a floor.
const (
	floorSet  = "set"
	floorNone = "none"
)

// namelessAdvisory stands for the ID of an advisory that has none.
const namelessAdvisory = "an advisory without an ID"

// mended has what the advisories say about one package name on one architecture.
type mended struct {
	name, arch string
	installed  []nevra.EVR
	floor      nevra.EVR // that stands
	best       nevra.EVR // the newest version with a fix
	ids        []string  // of advisories that name it
	cves       []string
	severity   string
	older      int // number of advisories that name lower versions
}

// wanted has the installed packages, by "name.arch".
type wanted map[string]*mended

// readWanted asks the daemon for the installed packages and the floors.
func readWanted(ctx context.Context, c *client.Client) (wanted, error) {
	w := wanted{}
	_, err := c.Lists(ctx, "", 0, func(page []api.List) {
		for _, l := range page {
			if n, err := nevra.Parse(l.NEVRA); err == nil && l.State != api.StateQuarantined && !l.Grace {
				w.at(n).installed = append(w.at(n).installed, n.EVR)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	floors, err := c.Floors(ctx)
	for _, f := range floors {
		if m := w[f.Package]; m != nil {
			m.floor, _ = nevra.ParseEVR(f.EVR)
		}
	}
	return w, err
}

func (w wanted) at(n nevra.NEVRA) *mended {
	key := n.Name + "." + n.Arch
	if w[key] == nil {
		w[key] = &mended{name: n.Name, arch: n.Arch}
	}
	return w[key]
}

func (w wanted) has(name, arch string) bool { return w[name+"."+arch] != nil }

// take adds an advisory. It returns how many packages of module streams it skipped.
func (w wanted) take(adv *updateinfo.Advisory) (modular int) {
	adv.ID = cmp.Or(adv.ID, namelessAdvisory)
	for _, n := range adv.Packages {
		if n.Stream != "" || strings.Contains(n.Release, ".module") {
			modular++
			continue
		}
		m := w[n.Name+"."+n.Arch]
		if slices.Contains(m.ids, adv.ID) && nevra.Compare(n.EVR, m.best) <= 0 {
			continue // in a second collection
		}
		switch order := nevra.Compare(n.EVR, m.best); {
		case m.best.IsZero() || order > 0:
			if !m.best.IsZero() && !slices.Contains(m.ids, adv.ID) {
				m.older += len(m.ids)
			}
			m.best, m.ids, m.cves, m.severity = n.EVR, []string{adv.ID}, slices.Clone(adv.CVEs), adv.Severity
		case order == 0:
			m.ids = append(m.ids, adv.ID)
			for _, id := range adv.CVEs {
				if !slices.Contains(m.cves, id) {
					m.cves = append(m.cves, id)
				}
			}
			m.severity = cmp.Or(m.severity, adv.Severity)
		default:
			m.older++
		}
	}
	return modular
}

// floors returns the resulting floors, by package.
func (w wanted) floors() []advisoryFloor {
	floors := []advisoryFloor{}
	for key, m := range w {
		if m.best.IsZero() {
			continue
		}
		f := advisoryFloor{Package: key, EVR: m.best.String(), Was: m.floor.String(), Action: floorSet, Loses: []string{}, Installed: []string{},
			Advisory: m.ids[0], Severity: m.severity, CVEs: slices.Clip(m.cves), Reason: m.reason()}
		if f.CVEs == nil {
			f.CVEs = []string{}
		}
		if !m.floor.IsZero() && nevra.Compare(m.floor, m.best) >= 0 {
			f.Action = floorNone
		}
		slices.SortFunc(m.installed, nevra.Compare)
		for _, e := range m.installed {
			f.Installed = append(f.Installed, e.String())
			if f.Action == floorSet && nevra.Compare(e, m.best) < 0 {
				f.Loses = append(f.Loses, e.String())
			}
		}
		floors = append(floors, f)
	}
	// Packages that lose their list come first, because they need action.
	slices.SortFunc(floors, func(a, b advisoryFloor) int {
		return cmp.Or(cmp.Compare(min(len(b.Loses), 1), min(len(a.Loses), 1)), cmp.Compare(a.Package, b.Package))
	})
	return floors
}

// reason names the advisory and as many of its CVEs as fit.
func (m *mended) reason() string {
	const most = 900
	text := strings.Join(m.ids[:min(len(m.ids), terminal.ShownLists)], ", ")
	for i, id := range m.cves {
		sep := ", "
		if i == 0 {
			sep = ": "
		}
		if len(text)+len(sep)+len(id) > most {
			text += fmt.Sprintf(" and %d more", len(m.cves)-i)
			break
		}
		text += sep + id
	}
	if m.older > 0 {
		text += fmt.Sprintf("; and %s before it", terminal.Count(m.older, "advisory", "advisories"))
	}
	return text
}
