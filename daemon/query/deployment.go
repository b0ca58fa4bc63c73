// SPDX-License-Identifier: Apache-2.0

package query

import (
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/view"
)

// describeDeployment describes what the machine is running, where there are several systems.
func describeDeployment(snap *view.Snapshot) (d api.Deployment) {
	now := snap.Past.Deployed
	if now == nil {
		return d
	}
	d = api.Deployment{Kind: now.Kind, ID: now.ID, Name: now.Name, Since: now.Since, Former: now.From, Compared: !now.Due, Older: now.Older,
		Waiting: len(now.Waiting), Rollback: config.DeploymentReport}
	if snap.RefuseOlder {
		d.Rollback = config.DeploymentRefuse
	}
	return d
}
