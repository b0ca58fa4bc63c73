// SPDX-License-Identifier: Apache-2.0

package ctltest

import (
	"context"
	"slices"
	"time"

	"github.com/digestd/digestd/daemon/api"
)

var memoryFindings = []api.Finding{
	{Path: "/usr/bin/bash", Kind: api.FindingChanged, Severity: api.SeverityError, Text: "was changed since bash-5.2-1.x86_64 was installed",
		Package: "bash-5.2-1.x86_64", List: "tlv-bash-0:5.2-1.x86_64", Algo: "sha256", Digest: hexA, Expected: hexB},
	{Path: "/etc/bash.bashrc", Kind: api.FindingChanged, Severity: api.SeverityNotice, Text: "was configured since bash-5.2-1.x86_64 was installed",
		Package: "bash-5.2-1.x86_64", List: "tlv-bash-0:5.2-1.x86_64", Role: "config"},
	{Kind: api.FindingWithheld, Severity: api.SeverityError, Text: "is not vouched for (1 file): the package is not signed", Package: "evil\x1b[2J-1-1.noarch"},
	{Path: "/usr/bin/new\nline-\uFFFD", RawPath: []byte("/usr/bin/new\nline-\xe9"), Kind: api.FindingUnvouched, Severity: api.SeverityError,
		Text: "is an executable that no list includes", Algo: "sha256", Digest: hexA},
	{Path: "/usr/bin/sh", Kind: api.FindingLabel, Severity: api.SeverityError, Text: "is bound to list tlv-old, which does not vouch for it",
		Package: "bash-5.2-1.x86_64", List: "tlv-bash-0:5.2-1.x86_64", Label: "tlv-old"},
}

func (m *Daemon) Verify(ctx context.Context, _ api.Actor, req api.VerifyRequest, report func(string, int, int)) (v api.Verification, err error) {
	report("comparing", 0, 3)
	v = api.Verification{State: api.VerifyFinished, All: len(req.Paths)+len(req.Packages) == 0, Fix: req.Fix, Scope: slices.Concat(req.Paths, req.Packages),
		Started: Noon, Ended: Noon.Add(time.Second), Duration: time.Second, Packages: 2, Files: 5, Bytes: 5 << 20}
	switch {
	case m.is("busy"):
		m.syncing <- struct{}{}
		<-ctx.Done()
		m.cancelled <- struct{}{}
		return v, ctx.Err()
	case m.is("broken"):
		return v, &api.Error{Code: api.Failed, Message: "cannot keep findings: no space left on device", Advice: "free space on /var"}
	case slices.Contains(req.Paths, "/no/such"):
		m.Vary("absent")
	}
	all, _, _ := m.Findings(ctx, 0, 10_000)
	for _, f := range all {
		v.Count(f)
	}
	report("searching", 7, 0)
	return v, nil
}

func (m *Daemon) Verification(ctx context.Context) (api.Verification, error) {
	if m.is("empty") {
		return api.Verification{}, &api.Error{Code: api.NotFound, Message: "nothing was verified yet", Advice: "digestctl verify --all"}
	}
	return m.Verify(ctx, api.Actor{}, api.VerifyRequest{}, func(string, int, int) {})
}

func (m *Daemon) Findings(_ context.Context, offset, limit uint32) ([]api.Finding, uint32, error) {
	var all []api.Finding
	switch {
	case m.is("degraded"):
		all = memoryFindings
	case m.is("fixed"):
		f := memoryFindings[4]
		f.Fixed = true
		all = append(all, f)
	case m.is("absent"):
		all = append(all, api.Finding{Path: "/no/such", Kind: api.FindingMissing, Severity: api.SeverityError, Text: "there is no such file"})
	case m.is("scripts"):
		for _, name := range ForeignNames {
			f := memoryFindings[0]
			f.Path = "/usr/share/" + name
			all = append(all, f)
		}
	case m.is("many"):
		for range 2500 {
			all = append(all, memoryFindings[1])
		}
	}
	page := all[min(int(offset), len(all)):]
	return page[:min(int(limit), len(page))], uint32(len(all)), nil
}
