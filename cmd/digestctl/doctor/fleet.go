// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"slices"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
)

// What of repositories and policy files doctor looks at is in digestd's own answer: digestd reads
// them in a process without rights, and knows which of them count.

// lookPolicies looks at policy files.
func lookPolicies(_ context.Context, p *patient) {
	st, err := p.status()
	switch n := st.Policies; {
	case err != nil:
		p.skip("digestd does not answer")
	case problem(st, "policy") != "":
		p.warn("digestctl policy show", "%s", problem(st, "policy"))
	case n.Refused > 0:
		p.warn("digestctl policy show", "policy files are refused: %d", n.Refused)
	case n == api.PolicyCounts{}:
		p.ok("there are no policy files")
	default:
		p.ok("policy files in force: %d, gone with rules that still apply: %d", n.InForce, n.Lapsed)
	}
}

// oldMetadata is the age from which metadata of a repository is old, as in docs/monitoring.
const oldMetadata = 30 * 24 * time.Hour

// lookMetadata looks at the advisories of repositories, and at how old they are.
func lookMetadata(_ context.Context, p *patient) {
	if p.conf.Advisories == config.AdvisoriesOff {
		p.skip("advisories are switched off")
		return
	}
	st, err := p.status()
	if err != nil {
		p.skip("digestd does not answer")
		return
	}
	if text := problem(st, "advisories"); text != "" {
		p.warn("", "%s", text)
		p.advise("refresh the metadata: dnf makecache --refresh, or zypper refresh --force")
		return
	}
	m := st.Metadata
	age := p.Now().Sub(m.Made)
	days := int(age.Hours() / 24)
	switch {
	case m.Made.IsZero():
		p.ok("no repository on this disk has security advisories")
	case age > oldMetadata:
		p.warn("", "the metadata of repository %s is %d days old", m.Repository, days)
		p.advise("refresh the metadata: dnf makecache --refresh, or zypper refresh; if that changes nothing, the mirror is behind")
	default:
		p.ok("the oldest metadata with advisories is that of repository %s: %d days", m.Repository, days)
	}
}

// problem is the text of a problem of digestd, "" if it has none of that ID.
func problem(st api.Status, id string) string {
	if i := slices.IndexFunc(st.Problems, func(p api.Problem) bool { return p.ID == id }); i >= 0 {
		return st.Problems[i].Text
	}
	return ""
}
