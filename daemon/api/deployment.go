// SPDX-License-Identifier: Apache-2.0

package api

import "time"

// Deployment is the one of several installed systems that the machine is running.
type Deployment struct {
	Kind     string    `json:"kind"`             // ostree, composefs, btrfs
	ID       string    `json:"id"`               // which no other one of the kind has
	Name     string    `json:"name"`             // for people
	Since    time.Time `json:"since"`            // when digestd first saw it run after another one
	Former   string    `json:"former,omitzero"`  // the name of that
	Compared bool      `json:"compared"`         // its packages were compared with the lists
	Older    int       `json:"older"`            // installed packages that are older than what was active on this machine
	Waiting  int       `json:"waiting,omitzero"` // packages of it that have no list yet
	Rollback string    `json:"rollback"`         // what becomes of older packages after a change: report, refuse
}
