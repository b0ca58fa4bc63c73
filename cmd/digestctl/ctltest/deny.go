// SPDX-License-Identifier: Apache-2.0

package ctltest

import (
	"context"
	"strings"
	"time"

	"github.com/digestd/digestd/daemon/api"
)

var memoryDenials = []api.Denial{
	{ID: "d-0a1b2c3d4e", What: "sha256:" + hexA, Digests: []string{"sha256:" + hexA}, Path: "/usr/bin/miner", Reason: "found by an incident",
		By: "root", Since: Noon, Lists: 1},
	{ID: "d-1a2b3c4d5e", What: "openssl<3.0.7-18", Package: "openssl", Below: "0:3.0.7-18", Reason: "remote code execution",
		Ticket: "CVE-2022-3602", By: "root", Since: Noon, Expires: Noon.AddDate(1, 0, 0)},
	{ID: "d-2a2b3c4d5e", What: "sha256:" + hexB, Digests: []string{"sha256:" + hexB}, By: "the kernel's .blacklist", Foreign: true},
}

func (m *Daemon) Denials(_ context.Context, offset, limit uint32) ([]api.Denial, uint32, error) {
	if m.is("empty") {
		return nil, 0, nil
	}
	page := memoryDenials[min(int(offset), len(memoryDenials)):]
	return page[:min(int(limit), len(page))], uint32(len(memoryDenials)), nil
}

func (m *Daemon) Deny(_ context.Context, by api.Actor, what, path, reason, ticket string, expires time.Time) (api.Denial, error) {
	if what == "x<" {
		return api.Denial{}, api.Errorf(api.InvalidArgument, `cannot read "x<"`)
	}
	return api.Denial{ID: "d-0123456789", What: what, Digests: digestsIn(what), Path: path, Reason: reason, Ticket: ticket, Expires: expires,
		By: "root", UID: by.UID, Since: Noon, Lists: 2}, nil
}

func digestsIn(what string) []string {
	if strings.Contains(what, ":") {
		return strings.Split(what, ",")
	}
	return nil
}

func (m *Daemon) DenialLift(_ context.Context, _ api.Actor, what, _ string) (api.Denial, error) {
	for _, d := range memoryDenials {
		if what == d.ID || what == d.Path || what == d.What {
			return d, nil
		}
	}
	return api.Denial{}, &api.Error{Code: api.NotFound, Message: `"` + what + `" is not denied here`, Advice: "see digestctl deny list"}
}

func (m *Daemon) DenialsImport(_ context.Context, _ api.Actor, document []byte, dryRun bool) (api.DenialImport, error) {
	if !strings.HasPrefix(string(document), "{") {
		return api.DenialImport{}, &api.Error{Code: api.InvalidArgument, Message: "cannot read the document of denials: it is none",
			Advice: "it must be as digestctl deny export writes it"}
	}
	return api.DenialImport{DryRun: dryRun, Added: 1, Same: 1, Lists: 4, Changes: []api.DenialChange{
		{Action: api.DenialAdded, Denial: memoryDenials[1], Packages: []string{"a-1-1.noarch", "b-1-1.noarch", "c-1-1.noarch", "d-1-1.noarch"}},
		{Action: api.DenialSame, Denial: memoryDenials[2]},
	}}, nil
}
