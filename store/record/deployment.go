// SPDX-License-Identifier: Apache-2.0

package record

import (
	"encoding/json"
	"fmt"
	"time"
)

// Deployment is the record of the installed system that the machine ran last, if it has several;
// see package kernel/deployment.
type Deployment struct {
	Kind  string    `json:"kind"`
	ID    string    `json:"id"`
	Name  string    `json:"name"`           // for people
	Boot  string    `json:"boot"`           // ID of the boot in which it ran last
	Since time.Time `json:"since"`          // when it was first seen to run after another one
	From  string    `json:"from,omitempty"` // the name of that other one

	Due     bool     `json:"due,omitempty"`     // no comparison has ended since then
	Older   int      `json:"older,omitempty"`   // packages that are older than versions that were active here
	Waiting []Digest `json:"waiting,omitempty"` // headers of its packages that have no list yet
}

// MetaDeployment is the key of the [Deployment] among the small named values.
const MetaDeployment = "deployment"

// PutDeployment records what the machine is running.
func (b *Batch) PutDeployment(d Deployment) { b.put(BucketMeta, []byte(MetaDeployment), d) }

// Deployment returns the recorded deployment, nil if there is none.
func (c *Content) Deployment() (*Deployment, error) {
	data := c.Meta[MetaDeployment]
	if data == nil {
		return nil, nil
	}
	d := &Deployment{}
	if err := json.Unmarshal(data, d); err != nil {
		return nil, fmt.Errorf("cannot read record %q of %s: %w", MetaDeployment, BucketMeta, err)
	}
	return d, nil
}
