// SPDX-License-Identifier: Apache-2.0

package ctltest

import (
	"context"
	"time"

	"github.com/digestd/digestd/daemon/api"
)

var memoryAdvised = []api.Advised{
	{Package: "openssl-1:3.0.7-16.x86_64", List: "tlv-openssl-1:3.0.7-16.x86_64", State: api.StateActive, Mended: "1:3.0.7-18", Advisory: "VSA-2026:0001",
		Severity: "Critical", CVEs: []string{"CVE-2026-1000", "CVE-2026-1001"}, Repository: "updates", Strength: "signed by " + hexA[:40], Since: Noon, Due: Noon.AddDate(0, 0, 14)},
	{Package: "vim-9-1.x86_64", List: "tlv-vim-9-1.x86_64", State: api.StateActive, Mended: "0:9-2", Advisory: "VSA-2026:0002",
		Severity: "Low", CVEs: []string{}, Repository: "updates", Strength: "signed by " + hexA[:40], Since: Noon},
}

func (m *Daemon) AdvisoryStatus(context.Context) (api.AdvisoryStatus, error) {
	if m.is("empty") {
		return api.AdvisoryStatus{Mode: "report", Severity: []api.SeverityCount{}, Mend: "dnf upgrade --security", Origins: []api.AdvisoryOrigin{}}, nil
	}
	return api.AdvisoryStatus{Mode: "withdraw", Packages: 2, Due: 1, Mend: "dnf upgrade --security",
		Severity: []api.SeverityCount{{Severity: "Critical", Packages: 1}, {Severity: "Low", Packages: 1}},
		Origins: []api.AdvisoryOrigin{
			{Repository: "others", Strength: "unsigned, from dnf's cache", Keys: []string{}, Made: Noon.Add(-48 * time.Hour), Read: Noon, Security: 3, Floors: 4, Beyond: 2, Epochs: []string{"odd.noarch"}},
			{Repository: "updates", Strength: "signed by " + hexA[:40], Keys: []string{hexA[:40]}, Made: Noon.Add(-time.Hour), Read: Noon, Security: 120, Floors: 800},
		}}, nil
}

func (m *Daemon) Advisories(context.Context) ([]api.Advised, error) {
	if m.is("empty") {
		return nil, nil
	}
	return memoryAdvised, nil
}

func (m *Daemon) AdvisoriesWhy(_ context.Context, pkg string) (api.AdvisoryWhy, error) {
	if pkg != "openssl" {
		return api.AdvisoryWhy{}, &api.Error{Code: api.NotFound, Message: "no advisory says anything of " + pkg, Advice: "see digestctl advisories status"}
	}
	return api.AdvisoryWhy{Package: pkg, Installed: memoryAdvised[:1], Mend: "dnf upgrade --security",
		Versions: []api.AdvisedVersion{{Package: "openssl.x86_64", EVR: "1:3.0.7-18", Advisory: "VSA-2026:0001", Severity: "Critical", CVEs: memoryAdvised[0].CVEs,
			Repository: "updates", Strength: memoryAdvised[0].Strength, Effect: "no older version that its keys signed can be installed"}},
		Stays: []string{"the list of openssl-1:3.0.7-16.x86_64 is never withdrawn for an advisory: /usr/lib64/libssl.so.3 is loaded by sshd"}}, nil
}

func (m *Daemon) AdvisoriesForget(_ context.Context, _ api.Actor, repository, _ string) error {
	if repository != "updates" {
		return &api.Error{Code: api.NotFound, Message: "digestd knows no advisories of repository " + repository, Advice: "see digestctl advisories status"}
	}
	return nil
}
