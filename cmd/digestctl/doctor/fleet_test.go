// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
)

// answers has digestd answer with a status.
func answers(st api.Status) func(context.Context) (api.Status, error) {
	return func(context.Context) (api.Status, error) { return st, nil }
}

func TestPolicies(t *testing.T) {
	s := machine(t)
	s.wants("policies", "skipped: digestd does not answer")
	for want, st := range map[string]api.Status{
		"ok: there are no policy files":                                                   {},
		"ok: policy files in force: 2, gone with rules that still apply: 1":               {Policies: api.PolicyCounts{InForce: 2, Lapsed: 1}},
		"warn: policy files are refused: 3 → digestctl policy show":                       {Policies: api.PolicyCounts{InForce: 2, Refused: 3}},
		"warn: /etc/digestd/policy.d/a.toml: line 3: no such key → digestctl policy show": {Problems: []api.Problem{{ID: "policy", Text: "/etc/digestd/policy.d/a.toml: line 3: no such key"}}},
	} {
		s.Status = answers(st)
		s.wants("policies", want)
	}
}

func TestMetadata(t *testing.T) {
	s := machine(t)
	s.wants("metadata", "skipped: digestd does not answer")
	made := func(days int) api.Status {
		return api.Status{Metadata: api.Metadata{Repository: "updates", Made: s.Now().Add(-time.Duration(days) * 24 * time.Hour)}}
	}
	unread := api.Status{Problems: []api.Problem{{ID: "other", Text: "another"}, {ID: "advisories", Text: "cannot apply the advisories of updates: it is damaged"}}}
	for want, st := range map[string]api.Status{
		"ok: no repository on this disk has security advisories":                         {},
		"ok: the oldest metadata with advisories is that of repository updates: 29 days": made(29),
		"warn: the metadata of repository updates is 31 days old":                        made(31),
		"warn: cannot apply the advisories of updates: it is damaged":                    unread,
	} {
		s.Status = answers(st)
		s.wants("metadata", want)
	}
	s.write("digestd.conf", "advisories = \"off\"\n")
	s.wants("metadata", "skipped: advisories are switched off")
}
