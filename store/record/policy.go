// SPDX-License-Identifier: Apache-2.0

package record

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Policy is the record of a policy file whose words are in force.
type Policy struct {
	Name    string    `json:"-"`                 // of the file, without its suffix
	Path    string    `json:"path"`              // of the file, below the root
	Package string    `json:"package,omitempty"` // whose list vouches for the file, a NEVRA in full; "" for the administrator's own
	Key     string    `json:"key,omitempty"`     // fingerprint of the certificate that vouches for that package
	Digest  Digest    `json:"digest"`            // of the text
	Text    []byte    `json:"text"`              // the file
	Since   time.Time `json:"since"`             // the text is in force
	Effect  string    `json:"effect,omitempty"`  // what it did when it came, for people
	Gone    time.Time `json:"gone,omitzero"`     // since when the file does not count: only what tightens is in force
	Why     string    `json:"why,omitempty"`     // it does not
}

// MetaPolicy begins the keys of policies among the small named values; the name follows.
const MetaPolicy = "policy/"

// PutPolicy records p under its name.
func (b *Batch) PutPolicy(p Policy) { b.put(BucketMeta, []byte(MetaPolicy+p.Name), p) }

// DeletePolicy forgets the policy of that name.
func (b *Batch) DeletePolicy(name string) { b.SetMeta(MetaPolicy+name, nil) }

// Policies returns the policies whose words are in force, by name.
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
