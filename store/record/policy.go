// SPDX-License-Identifier: Apache-2.0

package record

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Policy is the record of a policy file whose rules are in force.
type Policy struct {
	Name    string    `json:"-"`                 // of the file, without its suffix
	Path    string    `json:"path"`              // of the file, below the root
	Package string    `json:"package,omitempty"` // whose list vouches for the file, a NEVRA in full; "" for the administrator's own
	Key     string    `json:"key,omitempty"`     // fingerprint of the certificate that vouches for that package
	Digest  Digest    `json:"digest"`            // of the text
	Text    []byte    `json:"text"`              // the file
	Since   time.Time `json:"since"`             // when the text came into force
	Effect  string    `json:"effect,omitempty"`  // what changed when it came into force, for people
	Gone    time.Time `json:"gone,omitzero"`     // when the file ceased to count; since then only tightening rules are in force
	Why     string    `json:"why,omitempty"`     // why it ceased to count
}

// MetaPolicy begins the keys of policies among the small named values; the name follows.
const MetaPolicy = "policy/"

// PutPolicy records p under its name.
func (b *Batch) PutPolicy(p Policy) { b.put(BucketMeta, []byte(MetaPolicy+p.Name), p) }

// DeletePolicy removes the record of the policy with that name.
func (b *Batch) DeletePolicy(name string) { b.SetMeta(MetaPolicy+name, nil) }

// Policies returns the recorded policies by name.
func (c *Content) Policies() (map[string]Policy, error) {
	all := map[string]Policy{}
	for key, value := range c.Meta {
		if name, is := strings.CutPrefix(key, MetaPolicy); is {
			p := Policy{Name: name}
			if err := json.Unmarshal(value, &p); err != nil {
				return nil, fmt.Errorf("cannot read record %q of %s: %w", key, BucketMeta, err)
			}
			all[name] = p
		}
	}
	return all, nil
}
