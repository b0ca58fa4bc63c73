// SPDX-License-Identifier: Apache-2.0

package api

import "time"

// Deployment identifies the installed system that the machine is running, if it has several.
type Deployment struct {
	Kind     string    `json:"kind"`             // ostree, composefs, btrfs
	ID       string    `json:"id"`               // unique among deployments of its kind
	Name     string    `json:"name"`             // for people
	Since    time.Time `json:"since"`            // when digestd first saw it running after another one
	Former   string    `json:"former,omitzero"`  // the name of that other one
	Compared bool      `json:"compared"`         // digestd compared its packages with the lists
	Older    int       `json:"older"`            // installed packages that are older than versions that were active on this machine
	Waiting  int       `json:"waiting,omitzero"` // its packages that have no list yet
	Rollback string    `json:"rollback"`         // what happens to older packages after a change: report, refuse
}
