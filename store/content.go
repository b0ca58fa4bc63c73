// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/json"
	"strings"
)

// Leftovers returns the files that must still go, by name. A record that cannot be
// read still names its file.
func (c *Content) Leftovers() map[string]Leftover {
	all := map[string]Leftover{}
	for key, value := range c.Meta {
		if name, is := strings.CutPrefix(key, metaLeftover); is {
			l := Leftover{Name: name}
			json.Unmarshal(value, &l)
			all[name] = l
		}
	}
	return all
}

// loadDenial adds one record to what was loaded.
func (c *Content) loadDenial(k, v []byte) error {
	d := Denial{ID: string(k)}
	err := json.Unmarshal(v, &d)
	c.Denials = append(c.Denials, d)
	return err
}
